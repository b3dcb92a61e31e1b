"""The file format and the disk: records become signed, compressed segments, and stay.

No network, no HTTP, no command line in this room.
"""
