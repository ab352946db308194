"""Kinds of option values that several commands have."""

from __future__ import annotations

import click

from isthmus import _arguments
from isthmus.errors import ArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from click.shell_completion import CompletionItem

    SizeType = click.ParamType[int]
    NameType = click.ParamType[str]
    SizesType = click.ParamType[tuple[int, ...]]
    OwnerType = click.ParamType[int | str]
else:
    # Generic for click's stubs since 8.2, not for every version of click itself.
    SizeType = NameType = SizesType = OwnerType = click.ParamType


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


class ObjectName(NameType):
    """The name of an object: completed by the shell with those that are there now.

    Args:
        kinds: of isthmus: "queue", "topic" …; none: all, and the shared memory of others.
    """

    name = "name"

    def __init__(self, *kinds: str) -> None:
        self.kinds = frozenset(kinds)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not self.kinds:
            return str(value)
        from isthmus.inspect._address import Address

        try:
            found = Address.parse(value)
        except ArgumentError as error:
            self.fail(str(error), param, ctx)
        typed = found.typed_object
        # Where only something else has the plain name, it is said of that of isthmus that it is
        # not there.
        if not typed and (found.family != "posix" or value.startswith("posix:")):
            self.fail(f"{value!r} is no {' or '.join(sorted(self.kinds))} of isthmus", param, ctx)
        return found.name if typed else str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        try:
            from isthmus.cli.names import names

            return [CompletionItem(name) for name in names(incomplete, self.kinds)]
        except Exception:
            # A shell that completes a word has no place for a message.
            return []


class StartAt(NameType):
    """Where a subscriber starts: ``next``, ``oldest``, or a number of the last messages."""

    name = "start"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value in ("next", "oldest"):
            return value
        if not (value.isascii() and value.isdigit()):
            self.fail(f"{value!r} is not next, oldest, or a number of messages", param, ctx)
        return int(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(word) for word in ("next", "oldest") if word.startswith(incomplete)]


class Owner(OwnerType):
    """Whose an object may be: the name or number of a user, or ``any``."""

    name = "user"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        owner = int(value) if value.isascii() and value.isdigit() else str(value)
        try:
            _arguments.owner(owner)
        except ArgumentError as error:
            self.fail(str(error), param, ctx)
        return owner


def files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The shell knows them best: for `shell_complete` of an option."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]
