"""Images on their way into a registry: read from a file or folder, compressed, pushed."""
