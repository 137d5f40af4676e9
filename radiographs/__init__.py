"""From a file to what the network sees: pictures and DICOM, the network's frame and intensities, raw and prepared folders.

What is learnt from radiographs, and what is found in them, lies elsewhere.
"""
