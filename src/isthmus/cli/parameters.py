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
    SizesType = click.ParamType[tuple[int, ...]]
else:
    # Generic for click's stubs since 8.2, not for every version of click itself.
    SizeType = NameType = SizesType = click.ParamType


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


class Sizes(SizesType):
    """Several sizes: ``64,4KiB,1 MiB``."""

    name = "sizes"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if not isinstance(value, str):
            return tuple(value)
        try:
            return tuple(_arguments.size(one.strip()) for one in value.split(","))
        except ArgumentError as error:
            self.fail(str(error), param, ctx)


class Cores(SizesType):
    """Numbers of processor cores: ``2,3``."""

    name = "cores"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if not isinstance(value, str):
            return tuple(value)
        try:
            return tuple(int(one) for one in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of numbers like 0,1", param, ctx)
