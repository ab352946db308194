"""Write the manual page of the command, man/isthmus.1, from what the commands say with --help.

    python tools/man.py

It is kept in the tree so that an installation needs no more than a copy. A test compares the mark
in its first line with what the commands say now. Needs docutils, which comes with `make docs`.
"""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
from pathlib import Path

import click

import isthmus
from isthmus.cli.app import app

PAGE = Path(__file__).parents[1] / "man" / "isthmus.1"

_ENVIRONMENT = """\
``NO_COLOR``
    Set to anything: no colours, also in a terminal. In a pipe there are none anyway.

``COLUMNS``
    How wide the output is, where a terminal does not say so itself.
"""


def source() -> str:
    """The page in reStructuredText."""
    root = click.Context(app, info_name="isthmus")
    parts = [
        _title("isthmus", "="),
        _title("look at and use what processes share", "-"),
        ":Manual section: 1\n:Manual group: User Commands\n"
        f":Version: isthmus {isthmus.__version__}\n",
        _title("SYNOPSIS", "~"),
        "**isthmus** *COMMAND* [*OPTIONS*] [*ARGUMENTS*]...\n",
        _title("DESCRIPTION", "~"),
        _text(app.help),
        "Each command explains itself, with examples: ``isthmus COMMAND --help``.\n",
        _options(root),
        _title("COMMANDS", "~"),
    ]
    for name in app.list_commands(root):
        command = app.get_command(root, name)
        assert command is not None
        parts.append(_command(click.Context(command, info_name=name, parent=root)))
    parts += [_title("EXIT STATUS", "~")]
    parts += [_text(app.epilog), _title("ENVIRONMENT", "~"), _ENVIRONMENT]
    return "\n".join(part for part in parts if part)


def _command(ctx: click.Context) -> str:
    command = ctx.command
    usage = _escaped(" ".join(command.collect_usage_pieces(ctx)))
    return "\n".join(
        (
            _title(f"isthmus {ctx.info_name}", "+"),
            f"**isthmus {ctx.info_name}** {usage}\n",
            _text(command.help),
            _options(ctx),
            _text(command.epilog),
        )
    )


def _options(ctx: click.Context) -> str:
    records = [one.get_help_record(ctx) for one in ctx.command.get_params(ctx)]
    return "\n".join(
        f"``{_plain(names)}``\n    {_escaped(_plain(text))}\n"
        for names, text in (record for record in records if record is not None)
        if not names.endswith("--help")
    )


def _text(text: str | None) -> str:
    """Paragraphs as click has them: what follows a line with only \\b stays as it is."""
    made = []
    for block in re.split(r"\n\s*\n", inspect.cleandoc(text or "")):
        if block.startswith("\b"):
            first, *rest = block[1:].strip("\n").split("\n")
            made.append(f"{_escaped(first)}\n\n::\n\n" + "\n".join(f"    {one}" for one in rest))
        else:
            made.append(_escaped(_plain(block)))
    return "\n\n".join(made) + "\n"


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _escaped(text: str) -> str:
    """What means something in reStructuredText means nothing; `code` is code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        parts = [text.replace("`", "'")]
    return "".join(
        f"``{part}``" if place % 2 else re.sub(r"([\\*|_])", r"\\\1", part)
        for place, part in enumerate(parts)
    )


def _title(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}\n"


def mark() -> str:
    """The first line of a page that is up to date."""
    digest = hashlib.sha256(source().encode()).hexdigest()
    return f'.\\" Written by tools/man.py; do not edit. {digest[:32]}'


def main() -> int:
    from docutils.core import publish_string

    settings = {"input_encoding": "unicode", "output_encoding": "unicode", "report_level": 2}
    page = publish_string(source(), writer="manpage", settings_overrides=settings)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(f"{mark()}\n{page}", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
