"""Rally's Web Services API v2.0, in memory, with switches for everything that goes wrong.

``python -m simulators.rally`` serves it; tests start ``server.Simulator`` in their own process.
"""
