"""The words all rooms share. Values only: no I/O, no clock, no wire format."""
