"""The connectors that come with the runner; only workers import them."""
