"""What programs in Python use, without a server: the codecs for bytes at hand, and a client for any provider.

Its names are those of the package: `import thalweg` loads this room when the first of them is wanted.
"""
