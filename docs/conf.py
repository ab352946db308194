"""Sphinx configuration: `make docs`."""

project = "isthmus"
author = "The isthmus authors"
project_copyright = "2026, The isthmus authors"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "isthmus"
exclude_patterns = ["_build"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
# `name` in a docstring is a name in code, as in the text.
default_role = "code"
# The stub's names of numpy and typing are for type checkers.
nitpicky = False
