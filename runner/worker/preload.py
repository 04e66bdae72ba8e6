"""What the fork server loads once, so that each worker shares it: our connectors and theirs.

Imported by the fork server before it forks anything.
"""

import gc

import lxml.etree
import pydantic
import requests

import runner.worker.plugins
import runner.worker.process

__all__ = ["lxml", "pydantic", "requests", "runner"]

_places = runner.worker.plugins.find(allow=())
for _system in _places:
    runner.worker.plugins.load(_system, _places)

# What is frozen is never visited by the collector again, so its pages stay shared.
gc.collect()
gc.freeze()
