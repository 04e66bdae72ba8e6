"""A connector for the integration runner."""
