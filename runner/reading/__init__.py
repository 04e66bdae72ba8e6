"""Readers of files that come from outside and can't be trusted: XML first, more to come."""
