"""Connectors for the tests of the conformance kit."""
