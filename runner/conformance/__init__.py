"""The conformance kit: a pytest plug-in that holds any connector to the promises of all.

A package names its connector's arena (``arena.Arena``) and subclasses ``promises.Promises``;
docs/conformance.md shows how. Everything runs as it does in service: a daemon's process, its
workers, a store on disk. Nothing here is imported before a test asks for it.
"""
