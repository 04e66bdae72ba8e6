"""Connectors of another package, as anyone could write them."""
