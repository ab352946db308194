"""Kinds of option values that several commands have."""

from __future__ import annotations

import click

from isthmus import _arguments
from isthmus.errors import ArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    SizeType = click.ParamType[int]
    NameType = click.ParamType[str]
else:
    # Generic for click's stubs since 8.2, not for every version of click itself.
    SizeType = NameType = click.ParamType


class Size(SizeType):
    """A number of bytes, at least 1: ``65536``, ``"64 KiB"``, ``16MiB``."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return _arguments.size(value)
        except ArgumentError as error:
            self.fail(str(error), param, ctx)


class PosixName(NameType):
    """The name of a POSIX shared memory object."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return _arguments.posix_name(value)
        except ArgumentError as error:
            self.fail(str(error), param, ctx)
