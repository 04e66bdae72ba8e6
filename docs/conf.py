"""How Sphinx makes the documentation: pages of this folder for the browser and for man."""

import tomllib
from pathlib import Path

_ROOT = Path(__file__).parents[1]

project = "integration-runner"
author = "the runner developers"
copyright = author
release = version = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "version"
]

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
nitpicky = True
smartquotes = False  # what stands in quotes is often to be typed

html_theme = "furo"
html_title = f"integration-runner {release}"
html_copy_source = False
html_show_sphinx = False

# Of the manual: the command, its configuration, the service.
man_pages = [
    ("commands", "runner", "the command line of the integration runner", author, 1),
    ("reference/configuration", "runner.toml", "configuration of the integration runner", author, 5),
    ("service", "integration-runner", "keep outside systems in step with a server", author, 8),
]
man_make_section_directory = False
