"""Readers of files that come from outside and can't be trusted: XML and zip archives."""
