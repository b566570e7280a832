"""The local engine: its parts, and the platform on it."""
