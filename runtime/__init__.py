"""What every command stands on: whole files, one line for a mistake, checkpoints, devices, several processes.

Nothing here knows of radiographs, landmarks or the network.
"""
