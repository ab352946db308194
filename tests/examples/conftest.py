"""Every example, as processes, over every form that others can find."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import channels
import pytest


@pytest.fixture
def place(form: str, tmp_path: Path) -> Iterator[str]:
    """A URL of the form that a test is about."""
    with channels.place(form, tmp_path) as url:
        yield url
