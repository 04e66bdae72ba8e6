"""Fortify Software Security Center: the issues of a version, asked for over its API."""
