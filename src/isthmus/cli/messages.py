"""How messages are read from the shell: from arguments, files and standard input."""

from __future__ import annotations

import io
import json
import math
import os
import sys
from contextlib import nullcontext
from dataclasses import dataclass

import click

from isthmus.cli.parameters import files
from isthmus.errors import ArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, BinaryIO, Literal

    How = Literal["lines", "null", "json", "whole", "npy"]

#: Exit code: what was waited for did not come in time.
TIME_UP = 3
_CHUNK = 1 << 16
# Levels of lists and dicts that a plain value may have (Values, in segment-format.md).
_DEPTH = 16


@dataclass(frozen=True, slots=True)
class Given:
    """The messages that a command was given: iterate over them. Read only as they are asked for.

    Raises, while they are read, `ArgumentError` for what cannot be a message as it was asked
    for, and `OSError` for files.
    """

    #: One message each; if there are none, nor files: standard input.
    texts: tuple[str, ...]
    files: tuple[str, ...]
    #: How a file or standard input is parted; None: a file is one message, and each line of
    #: standard input is one.
    how: How | None
    #: Bytes rather than text.
    as_bytes: bool

    def __iter__(self) -> Iterator[Any]:
        for number, text in enumerate(self.texts, 1):
            yield self._made(os.fsencode(text), f"argument {number}")
        for path in self.files:
            what = "standard input" if path == "-" else path
            with nullcontext(sys.stdin.buffer) if path == "-" else open(path, "rb") as file:
                yield from self._parts(file, what, self.how or "whole")
        if not self.texts and not self.files:
            yield from self._parts(sys.stdin.buffer, "standard input", self.how or "lines")

    def _parts(self, file: BinaryIO, what: str, how: How) -> Iterator[Any]:
        if how == "whole":
            yield file.read()
        elif how == "npy":
            yield _array(file.read(), what)
        elif how == "null":
            for number, part in enumerate(_split(file), 1):
                yield self._made(part, f"part {number} of {what}")
        else:
            for number, line in enumerate(file, 1):
                if how == "json" and not line.strip():
                    continue
                yield self._made(line.removesuffix(b"\n"), f"line {number} of {what}")

    def _made(self, part: bytes, what: str) -> Any:
        if self.how == "json":
            return _from_json(part, what)
        if self.as_bytes:
            return part
        try:
            return part.decode()
        except UnicodeDecodeError:
            raise ArgumentError(f"{what} is not text in UTF-8; --bytes sends it as it is") from None


def given_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What `Given` has, as arguments and options of a command."""
    for option in reversed(
        (
            click.argument("texts", nargs=-1, metavar="[TEXT]..."),
            click.option(
                "--file", "files", multiple=True, metavar="FILE", shell_complete=files,
                help="A file, one message unless parted by another option; may be given several "
                "times. - is standard input.",
            ),
            click.option(
                "--lines", "how", flag_value="lines", default=None,
                help="Each line is a message.  [default, of standard input]",
            ),
            click.option("-0", "--null", "how", flag_value="null", help="Parted by NUL."),
            click.option(
                "--json", "how", flag_value="json",
                help="Each text or line is JSON, and sent as the value that it stands for.",
            ),
            click.option("--whole", "how", flag_value="whole", help="All of it is one message."),
            click.option("--npy", "how", flag_value="npy", help="An array, as of numpy.save."),
            click.option("--bytes", "as_bytes", is_flag=True, help="As bytes rather than text."),
        )
    ):  # fmt: skip
        function = option(function)
    return function


def given(texts: tuple[str, ...], files: tuple[str, ...], how: How | None, as_bytes: bool) -> Given:
    """Raises `click.UsageError` for what contradicts itself."""
    if texts and files:
        raise click.UsageError("texts and --file: either, not both")
    if texts and how in ("lines", "null", "whole", "npy"):
        name = "-0" if how == "null" else f"--{how}"
        raise click.UsageError(f"{name} says how to read a file or standard input, not texts")
    if as_bytes and how in ("json", "npy"):
        raise click.UsageError(f"--bytes and --{how}: either, not both")
    return Given(texts, files, how, as_bytes)


def _split(file: BinaryIO) -> Iterator[bytes]:
    """The parts between NULs, each as soon as its end is there; nothing after a last one."""
    # Joined once its end is there: a long part comes in many chunks.
    begun: list[bytes] = []
    # What there is, rather than all that is asked for: the other side may be waiting for us.
    read = getattr(file, "read1", file.read)
    while chunk := read(_CHUNK):
        first, *parts = chunk.split(b"\0")
        begun.append(first)
        if parts:
            yield b"".join(begun)
            yield from parts[:-1]
            begun = [parts[-1]]
    if rest := b"".join(begun):
        yield rest


def _from_json(part: bytes, what: str) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    try:
        value = json.loads(part, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise ArgumentError(
            f"{what} is not one value in JSON ({error}); `jq -c .` makes a line of each value"
        ) from None
    if lacking := _lacking(value):
        raise ArgumentError(f"{what} {lacking}, which messages have no form for")
    return value


def _lacking(value: Any, depth: int = 0) -> str | None:
    """Why it is no plain value. It would be sent as a pickle, which the other side refuses."""
    if type(value) is int and not -(1 << 63) <= value < 1 << 63:
        return "has a whole number of more than 64 bits"
    if type(value) is float and math.isinf(value):
        return "has a number that is too large for a float"
    if type(value) is str:
        try:
            value.encode()
        except UnicodeEncodeError:
            return "has half of a surrogate pair"
    if type(value) not in (list, dict):
        return None
    if depth >= _DEPTH:
        return f"is more than {_DEPTH} levels deep"
    parts = value if type(value) is list else (part for pair in value.items() for part in pair)
    return next((why for part in parts if (why := _lacking(part, depth + 1))), None)


def _array(content: bytes, what: str) -> Any:
    from numpy.lib import format as npy

    try:
        return npy.read_array(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ArgumentError(f"{what} is not what numpy.save writes: {error}") from None


def send(messages: Given, send_one: Callable[[Any], object], failed: type[Exception]) -> int:
    """Send all of them, in order: the exit code. What goes wrong tells how many were sent.

    `failed`: what `send_one` raises when there was no room in time.
    """
    sent = 0
    try:
        for message in messages:
            send_one(message)
            sent += 1
    except failed as error:
        click.echo(f"isthmus: {error}{_before(sent)}", err=True)
        return TIME_UP
    except BaseException:
        if sent:
            click.echo(f"isthmus:{_before(sent).removeprefix(';')}", err=True)
        raise
    return 0


def _before(sent: int) -> str:
    if not sent:
        return ""
    return f"; {sent} message{'' if sent == 1 else 's'} before it had been sent"
