"""The worker: a process that runs connectors, and nothing else.

It has a pipe, a scratch folder and the envelope of its job: no database, no key, no remote
token, no environment of the daemon's. Nothing here imports the store or the web server.
"""
