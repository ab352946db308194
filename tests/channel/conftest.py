"""Every test here runs once for each form that it says it is about."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import channels
import pytest

from isthmus.channel import Channel


@pytest.fixture(scope="session", autouse=True)
def _room_for_queues() -> None:
    """All tests of a user together may use as many message queues as they like, if possible."""
    with contextlib.suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_MSGQUEUE, (resource.RLIM_INFINITY,) * 2)


@pytest.fixture(params=channels.NAMES)
def form(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def ends(form: str, tmp_path: Path) -> Iterator[tuple[Channel, Channel]]:
    with channels.ends(form, tmp_path) as both:
        yield both


@pytest.fixture
def place(form: str, tmp_path: Path) -> Iterator[str]:
    with channels.place(form, tmp_path) as url:
        yield url
