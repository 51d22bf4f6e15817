"""What no dialect owns: cutting bytes into frames and back. Bytes in, frames out; no I/O, no JSON."""
