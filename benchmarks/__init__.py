"""Speed and memory, measured: `python -m benchmarks` runs all, `python -m benchmarks NAME…` some.

Nothing is imported here: worker processes import ``__main__`` again, and with it this package.
"""
