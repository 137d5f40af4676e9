"""A trained network in use: the predictor, calibration, and the files that predictions are written to.

Calibration is learnt here, once, for export.py; the networks themselves are trained elsewhere.
"""
