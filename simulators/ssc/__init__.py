"""Fortify Software Security Center: its REST API as far as an importer of issues meets it."""
