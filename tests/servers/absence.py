"""What a test does when the real server it needs isn't on this machine."""

import os
from typing import NoReturn

import pytest


def server_is_absent(server: str, how_to_get_it: str) -> NoReturn:
    """Skip the test, or fail it where servers are promised: under ``CI=true`` and ``SERVERS=install``."""
    sentence = f"{server} isn't on this machine ({how_to_get_it})"
    if os.environ.get("CI") == "true" or os.environ.get("SERVERS") == "install":
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)
