"""Servers that stand in for outside systems: real HTTP, as strict as the originals."""
