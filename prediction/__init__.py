"""A trained network in use: the predictor, orientation, calibration, and the files that predictions are written to.

Calibration and orientation are learnt here, once, for export.py; the network itself is trained elsewhere.
"""
