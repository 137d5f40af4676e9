"""What surrounds a training: the check of its data, the schedule, the folders of runs, its report and figures.

The training itself is solver.py.
"""
