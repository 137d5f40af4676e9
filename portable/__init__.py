"""A trained network for programs without PyTorch: everything between grey values and landmarks as ONNX graphs, plain code that
calls them in Python and in JavaScript, and a page that tries them in a browser. Nothing of it is used by `predict.py` itself.
"""
