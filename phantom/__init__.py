"""Synthetic radiographs of hands with exact landmarks: a shape model, bones, soft tissue, film; and kinds of them.

    python -m phantom --out FOLDER

No real radiograph is read here, and training knows nothing of how these were made.
"""
