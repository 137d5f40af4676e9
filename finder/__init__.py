"""Where in a picture a joint lies, and how: a small network, the mean shape that is fitted to its peaks, and its training."""
