"""The parts of a training: settings, sets of radiographs, plan, first look, state, folders of runs, report and figures.

solver.py puts them together.
"""
