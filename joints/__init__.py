"""What is known of a joint before any radiograph: the names of its landmarks, the bones between them, what is measured on it.

No network. The one joint that ships is the hand; others are described by a file. Annotations of other programs come in and go out
here too: that alone opens pictures, for their size and geometry.
"""
