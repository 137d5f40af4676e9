"""The second look: each landmark once more, in a crop of the radiograph at a higher resolution than the network's frame.

Pictures and crops are in crops.py, the network in network.py, its training in training.py. Where the first look goes (the SCN in
its frame) is not said here.
"""
