"""``python -m isthmus.compat PROGRAM …``: run a program with the drop-ins in place."""

from __future__ import annotations

import os
import sys

from isthmus.compat import _install
from isthmus.compat._mode import mode
from isthmus.errors import ArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

_USAGE = "python -m isthmus.compat [-h] [--only NAME ...] (PROGRAM | -m MODULE | -c CODE) ..."
_DESCRIPTION = """\
Runs an unchanged Python program with the drop-ins of isthmus.compat in place of what it imports,
in it and in every Python process that it starts."""
_EPILOG = """\
names: {names}

The environment variable ISTHMUS_COMPAT is "safe" (unless told otherwise) or "strict": whether the
drop-ins keep what is dangerous about what they stand for. The program, and what it starts,
is an ordinary process of this Python: its arguments, standard input and exit status are its own."""


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """What is for us, and what is for Python: the program with all that follows."""
    place = 0
    while place < len(arguments):
        word = arguments[place]
        if word == "--":
            return arguments[:place], arguments[place + 1 :]
        if word == "--only":
            place += 2
            while place < len(arguments) and arguments[place] in _install.NAMES:
                place += 1
        elif word[:2] in ("-m", "-c") or word == "-" or not word.startswith("-"):
            break
        else:
            place += 1
    return arguments[:place], arguments[place:]


def parser() -> argparse.ArgumentParser:
    import argparse

    made = argparse.ArgumentParser(
        prog="python -m isthmus.compat",
        usage=_USAGE,
        description=_DESCRIPTION,
        epilog=_EPILOG.format(names=", ".join(_install.NAMES)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument(
        "--only",
        action="extend",
        nargs="+",
        metavar="NAME",
        help="replace these alone; several words, or with commas between them",
    )
    return made


def interpreter_options(command: list[str], ours: int) -> list[str]:
    """The options in a command of this Python that stand before ``-m isthmus.compat``.

    Args:
        command: as `sys.orig_argv`.
        ours: how many arguments follow after the name of the module.
    """
    options = command[1 : len(command) - ours]
    if not options:
        return []
    last = options.pop()
    flags = last if last.startswith("-") else options.pop() if options else ""
    # "-m", or other letters before it in the same word, as in "-Im".
    before = flags[: flags.index("m")] if "m" in flags else ""
    return [*options, before] if len(before) > 1 else options


def main() -> None:
    arguments = sys.argv[1:]
    ours, program = split(arguments)
    known = parser()
    options = known.parse_args(ours)
    if not program:
        known.error("no PROGRAM is given")
    if program[0] in ("-m", "-c") and len(program) == 1:
        known.error(f"argument expected for the {program[0]} option")
    names = [name for word in options.only or _install.NAMES for name in word.split(",")]
    try:
        wanted = _install.checked(names)
        mode()
    except ArgumentError as error:
        known.error(str(error))
    if sys.flags.ignore_environment or sys.flags.no_site:
        known.error("with the options -I, -E and -S, Python does not read what puts them in place")
    flags = interpreter_options(sys.orig_argv, len(arguments))
    _install.announce(wanted, os.environ)
    os.execv(sys.executable, [sys.executable, *flags, *program])  # noqa: S606


if __name__ == "__main__":
    main()
