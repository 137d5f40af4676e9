"""Placing and correcting landmarks in the browser: a reader's marks and their journal, the order of work, the server, the page.

What a person places is kept here and changed by nobody else; training and prediction are called as commands, never imported,
but for `propose.py`, which is a process of its own. Nothing here loads torch at start-up.
"""
