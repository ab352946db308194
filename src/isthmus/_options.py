"""The options that `create` and `attach` of all locks and friends share, for type checkers."""

from __future__ import annotations

from typing import SupportsIndex, TypedDict


class Attaching(TypedDict, total=False):
    """What `attach` takes everywhere."""

    owner: SupportsIndex | str | None
    open_timeout: float


class Creating(TypedDict, total=False):
    """What `create` takes everywhere."""

    mode: SupportsIndex
    owner: SupportsIndex | str | None
    group: SupportsIndex | str | None
