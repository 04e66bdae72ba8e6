"""Connectors for the benchmarks."""
