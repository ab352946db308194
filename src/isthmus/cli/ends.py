"""Opening queues and topics for the commands that talk to them."""

from __future__ import annotations

import click

from isthmus.cli.parameters import Owner, Size
from isthmus.errors import ExistsError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    _Handle = TypeVar("_Handle")


def opening_options(
    what: str, *, stays: bool
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Options of a command that makes one if asked to. `stays`: that persists in any case."""
    how = " it stays until `isthmus rm` removes it." if stays else ""
    persist = click.option(
        "--persist", is_flag=True, help=f"With --create: the {what} stays when nobody has it open."
    )

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        function = owner_option(function)
        if not stays:
            function = persist(function)
        function = click.option(
            "--capacity", type=Size(), metavar="SIZE",
            help="With --create: bytes for messages.  [default: 1 MiB]",
        )(function)  # fmt: skip
        return click.option(
            "--create", is_flag=True, help=f"Make the {what} if it is not there;{how}"
            if stays
            else f"Make the {what} if it is not there.",
        )(function)  # fmt: skip

    return add


def owner_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--owner", type=Owner(), metavar="USER",
        help="Whose it may be: a user, or any.  [default: one's own]",
    )(function)  # fmt: skip


def timeout_option(help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help=help)


def opened(
    noun: str,
    name: str,
    attach: Callable[[], _Handle],
    create: Callable[[], _Handle] | None,
) -> tuple[_Handle, bool]:
    """A handle, and whether it is of a new one. `create` None: it must be there."""
    while True:
        try:
            return attach(), False
        except NotFoundError:
            if create is None:
                raise NotFoundError(
                    f"there is no {noun} {name!r}; --create makes it, `isthmus ls` lists what "
                    "there is",
                    name=name,
                ) from None
        try:
            return create(), True
        except ExistsError:
            # Somebody was faster: that one, then.
            continue


def check_creation(create: bool, **needing: object) -> None:
    """Options that say how it is to be made have no meaning where nothing is."""
    if create:
        return
    for option, value in needing.items():
        if value not in (None, False):
            raise click.UsageError(f"--{option} is for one that is made: --create is missing")
