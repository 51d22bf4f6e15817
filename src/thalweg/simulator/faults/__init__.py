"""What can go wrong with an answer, by name. One module for each place where it can: instead of an answer, in its
events, in its frames, on its connection.
"""
