"""The second look: each landmark once more, in a crop of the radiograph at a higher resolution than the network's frame.

Pictures and crops are in crops.py, the network in network.py, its training in training.py. The first look is the
SCN on the whole frame, which is in model.py.
"""
