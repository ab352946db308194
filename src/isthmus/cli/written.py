"""How messages are written to the shell: as text, as JSON lines, into files.

A message has been written when the system has it; not when it is on a disk, nor when the other
end of a pipe has read it.
"""

from __future__ import annotations

import base64
import io
import json
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from isthmus import _files
from isthmus.cli.output import safe, size_text
from isthmus.cli.parameters import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Bytes of a message that a terminal shows.
_PREVIEW = 256


class Unread:
    """Stands for a message that is there and was not decoded: a pickle, or a damaged one."""

    __slots__ = ("size", "type", "why")

    def __init__(self, kind: str, why: str, size: int | None = None) -> None:
        self.type, self.why, self.size = kind, why, size


@dataclass(frozen=True, slots=True)
class Message:
    """One message, as it came."""

    #: How many messages were sent before it; None: cannot be told.
    number: int | None
    value: Any
    #: How often it was delivered, where that is counted.
    attempt: int | None = None


def output_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What `Writer` has, as options of a command."""
    for option in reversed(
        (
            click.option("--json", "as_json", is_flag=True, help="A line of JSON for each."),
            click.option(
                "--data", type=click.Choice(["base64"]),
                help="In JSON, the elements of arrays as well.",
            ),
            click.option("-0", "--null", is_flag=True, help="End each message with NUL."),
            click.option(
                "--output", metavar="PATH", shell_complete=files,
                help="Write into this file; into a directory, or what ends with /: a file each. "
                "Arrays as numpy.save does.",
            ),
        )
    ):  # fmt: skip
        function = option(function)
    return function


class Writer:
    """Writes messages, each of which has left this process when `write` returns."""

    def __init__(
        self, *, as_json: bool, data: str | None, null: bool, output: str | None, several: bool
    ) -> None:
        """`several`: whether more than one may come. Raises `click.UsageError`, `OSError`."""
        if data is not None and not as_json:
            raise click.UsageError("--data says what is in JSON: --json is missing")
        if null and as_json:
            raise click.UsageError("-0 and --json: either, not both")
        self._json, self._data, self._end = as_json, data is not None, b"\0" if null else b"\n"
        self._null = null
        self._output = output
        self._folder = output is not None and (output.endswith("/") or os.path.isdir(output))
        if output is None:
            self._terminal = sys.stdout.isatty()
            return
        self._terminal = False
        if not output:
            raise click.BadParameter("the name is empty", param_hint="'--output'")
        if several and not self._folder:
            raise click.UsageError(
                "--output: several messages need a directory (a name that ends with /), a file each"
            )
        if self._folder:
            os.makedirs(output, exist_ok=True)
        else:
            _files.check_file(output)

    def write(self, message: Message) -> None:
        """Raises `OSError`, `BrokenPipeError` among them: then it may not have been written."""
        file = None
        if self._output is not None and not isinstance(message.value, Unread):
            ending, content = _content(message.value)
            file = self._output
            if self._folder:
                file = str(Path(self._output, f"{message.number or 0:08}{ending}"))
            _files.write(file, content)
        if self._json:
            found = described(message, with_data=self._data and file is None)
            if file is not None:
                found.pop("value", None)
                found.pop("data", None)
                found["file"] = file
            _put(_json(found))
        elif file is None:
            _put(self._shown(message.value))

    def _shown(self, value: Any) -> bytes:
        if isinstance(value, str):
            shown = safe(value) if self._terminal else value
            return _encoded(shown) + self._end
        if isinstance(value, (bytes, bytearray)):
            if not self._terminal:
                # As it is: a file that was put comes out as the same file.
                return bytes(value) + (self._end if self._null else b"")
            return preview(value).encode() + b"\n"
        return in_words(value).encode("utf-8", "replace") + self._end


def _put(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def preview(value: bytes | bytearray) -> str:
    """Bytes for people: the first ones."""
    rest = f" … {size_text(len(value))}" if len(value) > _PREVIEW else ""
    return f"{bytes(value[:_PREVIEW])!r}{rest}"


def in_words(value: Any) -> str:
    """What is no text and no bytes, on one line."""
    if isinstance(value, Unread):
        return f"<{value.type}: {safe(value.why)}>"
    kind = _type(value)
    if kind == "array":
        shape = "x".join(map(str, value.shape)) or "()"
        return safe(f"array {shape} {_dtype(value)}")
    try:
        return safe(repr(value))
    except Exception as error:
        # An object of others may fail even at this.
        return f"<{type(value).__name__}: its repr raises {type(error).__name__}>"


def described(message: Message, *, with_data: bool = False) -> dict[str, Any]:
    """A message as JSON has it."""
    value = message.value
    kind = _type(value)
    found: dict[str, Any] = {"number": message.number, "type": kind, "size": _size(value, kind)}
    if message.attempt is not None:
        found["attempt"] = message.attempt
    if kind == "text":
        found["value"] = value
    elif kind == "bytes":
        found["data"] = base64.b64encode(value).decode()
    elif kind == "array":
        found |= {"shape": list(value.shape), "dtype": _dtype(value)}
        if with_data:
            found["data"] = base64.b64encode(value.tobytes()).decode()
    elif kind == "value":
        found["value"] = _as_json(value)
    elif isinstance(value, Unread):
        found["why"] = value.why
    else:
        found["repr"] = in_words(value)
    return found


def _type(value: Any) -> str:
    if isinstance(value, Unread):
        return value.type
    if isinstance(value, str):
        return "text"
    if isinstance(value, (bytes, bytearray)):
        return "bytes"
    numpy = sys.modules.get("numpy")
    if numpy is not None and type(value) is numpy.ndarray:
        return "array"
    return "value" if _value_size(value) is not None else "object"


def _dtype(array: Any) -> str:
    """As isthmus has it: "u1", not "uint8"; the order of bytes only where it is another."""
    dtype = array.dtype
    if dtype.names is not None:
        return str(dtype)
    return str(dtype.str).lstrip("|=<" if sys.byteorder == "little" else "|=>")


def _size(value: Any, kind: str) -> int | None:
    """Bytes of the message itself, as it lies in the memory; None: not known."""
    if isinstance(value, Unread):
        return value.size
    if kind == "text":
        return len(value.encode("utf-8", "surrogatepass"))
    if kind == "bytes":
        return len(value)
    return int(value.nbytes) if kind == "array" else _value_size(value)


def _value_size(value: Any, depth: int = 0) -> int | None:
    """As "Values" of the format have it; None: it is none."""
    kind = type(value)
    if value is None or kind is bool:
        return 1
    if kind is int or kind is float:
        return 9
    if kind is str:
        return 5 + len(value.encode("utf-8", "surrogatepass"))
    if kind is bytes:
        return 5 + len(value)
    if depth >= 16 or kind not in (tuple, list, dict):
        return None
    parts = value if kind is not dict else [part for pair in value.items() for part in pair]
    total = 5
    for part in parts:
        size = _value_size(part, depth + 1)
        if size is None:
            return None
        total += size
    return total


def _as_json(value: Any) -> Any:
    """What JSON has no way for: bytes are text where they can be; keys are text."""
    if isinstance(value, dict):
        return {key if type(key) is str else _key(key): _as_json(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json(one) for one in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _encoded(text: str) -> bytes:
    """Text that came as a pickle may be none in UTF-8: the name of a file, or half a pair."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


def _json(found: Any) -> bytes:
    # What UTF-8 has no bytes for is in a text, where JSON has the same escapes as Python.
    return json.dumps(found, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def _key(key: Any) -> str:
    return json.dumps(key) if key is None or isinstance(key, (bool, int, float)) else repr(key)


def _content(value: Any) -> tuple[str, bytes]:
    """The ending of its file, and what is in it."""
    kind = _type(value)
    if kind == "text":
        return ".txt", _encoded(value)
    if kind == "bytes":
        return ".bin", bytes(value)
    if kind == "array":
        import numpy as np

        file = io.BytesIO()
        np.save(file, value, allow_pickle=False)
        return ".npy", file.getvalue()
    if kind == "value":
        return ".json", _json(_as_json(value))
    return ".txt", in_words(value).encode("utf-8", "replace") + b"\n"
