"""What is known of a joint before any radiograph: the names of its landmarks, the bones between them, what is measured on it.

No pictures, no network. The one joint that ships is the hand; others are described by a file, and converted from other programs'.
"""
