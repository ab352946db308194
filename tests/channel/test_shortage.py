"""Without room for one more descriptor: at whichever step, nothing of it is left open."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import resource
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import channels
import pytest
from channels import PATIENCE, child, ended

from isthmus import channel
from isthmus.channel import Channel, Listener

# What any form needs for both sides in one process.
_MOST = 40


@contextlib.contextmanager
def _room_for(count: int) -> Iterator[None]:
    """So many descriptors more can be opened in this process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = set(map(int, os.listdir("/proc/self/fd")))
    free = [each for each in range(len(used) + _MOST + 1) if each not in used]
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[count], before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _open() -> int:
    """How many there are, but for those of inotify: some are kept for the next who needs one."""
    found = []
    for each in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one by which they are listed
            found.append(os.readlink(f"/proc/self/fd/{each}"))
    return sum("inotify" not in each for each in found)


def _talk(mine: Channel, yours: Channel) -> None:
    mine.send(b"x", PATIENCE)
    assert yours.recv(PATIENCE) == b"x"
    yours.send(b"y", PATIENCE)
    assert mine.recv(PATIENCE) == b"y"
    assert mine.fileno() >= 0
    assert yours.fileno() >= 0


def _with_less_and_less(talk: Callable[[list[Channel | Listener]], None]) -> None:
    """Each failure is the one of the system, and costs no descriptor, nor the next attempt."""
    warnings.simplefilter("error")  # of sockets that were left to the garbage collector
    gc.freeze()  # all that the tests before have left is not to be looked at again and again
    for room in (_MOST, _MOST, *range(_MOST)):
        made: list[Channel | Listener] = []
        before = _open()
        failed = None
        try:
            with _room_for(room):
                talk(made)
        except OSError as error:
            failed = error.errno
        while made:
            made.pop(0).close()
        gc.collect()
        assert failed in (None, errno.EMFILE), (room, failed)
        if room < _MOST:
            assert _open() == before, (room, failed)
            if failed is None:
                assert room
                return
    raise AssertionError("it fails with any room")


@pytest.mark.parametrize("form", channels.NAMES)
def test_a_pair_without_room_for_it_leaves_nothing_open(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", os.fspath(tmp_path))

    def talk(made: list[Channel | Listener]) -> None:
        mine, yours = channel.pair(form)
        made += mine, yours
        _talk(mine, yours)

    assert ended(child(lambda: _with_less_and_less(talk))) == 0
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("form", channels.NAMED)
def test_a_connection_without_room_for_it_leaves_nothing_open(form: str, tmp_path: Path) -> None:
    def talk(made: list[Channel | Listener]) -> None:
        listener = channel.listen(url)
        made.append(listener)
        yours = channel.connect(listener.url, timeout=PATIENCE)
        made.append(yours)
        mine = listener.accept(PATIENCE)
        made.append(mine)
        if form != "signal":  # by which a process that talks to itself shares what comes
            _talk(mine, yours)

    with channels.place(form, tmp_path) as url:
        assert ended(child(lambda: _with_less_and_less(talk))) == 0
