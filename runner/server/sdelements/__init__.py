"""The SD Elements dialect: ``/api/v2/…``."""
