"""Background integration runners for security and identity work."""

__version__ = "0.1.0"
