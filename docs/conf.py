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
autodoc_preserve_defaults = True
# `name` in a docstring is a name in code, as in the text.
default_role = "code"


def keep_sentences_whole(app, what, name, obj, options, lines):
    """Napoleon reads "type: text" out of an attribute's first line; ours are sentences."""
    if what in ("attribute", "data", "property"):
        lines[:0] = ["..", ""]  # an empty comment, for it to read instead


def setup(app):
    # Before napoleon, which has the default priority of 500.
    app.connect("autodoc-process-docstring", keep_sentences_whole, priority=400)
