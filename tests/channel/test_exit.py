"""What is not closed when a process ends is closed then."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import channels
import pytest

OPENED = """
import multiprocessing, sys
from isthmus import channel

kept = []

def use(urls):
    for url in urls:
        listener = channel.listen(url)
        mine = channel.connect(listener.url, timeout=10)
        yours = listener.accept(10)
        mine.send(b"x")
        assert yours.recv(10) == b"x"
        yours.fileno()
        kept.extend((listener, mine, yours))

if sys.argv[1] == "itself":
    use(sys.argv[2:])
else:
    child = multiprocessing.get_context("fork").Process(target=use, args=(sys.argv[2:],))
    child.start()
    child.join()
    assert child.exitcode == 0
"""


@pytest.mark.parametrize("who", ["itself", "its child"])
def test_channels_that_are_left_open_leave_nothing(
    who: str, tmp_path: Path, run_python: Callable[..., str]
) -> None:
    with contextlib.ExitStack() as places:
        urls = [
            places.enter_context(channels.place(form, tmp_path))
            for form in channels.NAMED
            if form != "signal"
        ]
        assert run_python(OPENED, who, *urls) == ""
