"""Real streams on disk: written with their timing as they come, and played back as an upstream."""
