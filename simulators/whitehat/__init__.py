"""WhiteHat Sentinel: its API as far as an importer of findings meets it."""
