"""A trained network in use: the predictor, orientation, calibration, and the files that predictions are written to.

How the network came to its weights is of no concern here.
"""
