"""The HTTP surface. `app` puts everything together; no other module does."""
