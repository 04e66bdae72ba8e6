"""Fortify: findings from the files that its tools export."""
