"""Facts about providers and models, as values. A difference between them is a row here, never a branch elsewhere."""
