"""Servers elsewhere with the SD Elements API: their jobs, and the platform behind them."""
