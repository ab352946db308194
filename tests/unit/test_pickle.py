"""Handles as arguments of processes, under every start method of multiprocessing."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from handles import write_array, write_segment

import isthmus
from isthmus import Array, Segment

pytestmark = pytest.mark.slow

METHODS = ["fork", "spawn", "forkserver"]


def run(method: str, target: object, *arguments: object) -> None:
    context = multiprocessing.get_context(method)
    process = context.Process(target=target, args=arguments)  # type: ignore[attr-defined]
    process.start()
    process.join(60)
    assert process.exitcode == 0


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("method", METHODS)
def test_every_kind_of_segment_reaches_a_child(method: str, name: str, tmp_path: Path) -> None:
    with (
        Segment.create(name, 10) as posix,
        Segment.anonymous(10) as anonymous,
        Segment.map_file(tmp_path / "file", size=10, create=True) as file,
        Segment.sysv(size=10) as sysv,
    ):
        try:
            for number, seg in enumerate((posix, anonymous, file, sysv), 1):
                run(method, write_segment, seg, number)
                assert seg.buf[0] == number
        finally:
            posix.unlink()
            sysv.unlink()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("method", METHODS)
def test_arrays_reach_a_child(method: str, name: str) -> None:
    with Array(name, (2, 3)) as named, Array(None, (2, 3)) as anonymous:
        for array in (named, anonymous):
            run(method, write_array, array, 2.5)
            assert array.np.sum() == 15
        named.unlink()


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_handle_is_another_handle_to_the_same(
    duplicate: Callable[[Any], Any], name: str
) -> None:
    threads = threading.active_count()
    with Segment.create(name, 10) as posix, Segment.anonymous(10) as anonymous:
        for seg in (posix, anonymous):
            with duplicate(seg) as same:
                same.buf[0] = 7
                assert (seg.buf[0], same.size, same.kind) == (7, 10, seg.kind)
            assert seg.buf[0] == 7
        posix.unlink()
    with Array(name, 3) as named, Array(None, 3) as unnamed:
        for array in (named, unnamed):
            with duplicate(array) as other:
                other.np[:] = 2
            assert array.np.sum() == 6
        named.unlink()
    # Pickling an anonymous one starts a thread that hands out descriptors; this does not.
    assert threading.active_count() == threads


def test_a_handle_sent_through_a_pipe_arrives() -> None:
    here, there = multiprocessing.Pipe()
    with here, there, Segment.anonymous(10) as seg:
        here.send(seg)
        with there.recv() as received:
            received.buf[1] = 8
        assert seg.buf[1] == 8


def test_a_copy_keeps_name_access_and_user_permission(name: str, unprivileged: int) -> None:
    with Segment.create(name, 10, owner=unprivileged) as seg:
        for readonly in (False, True):
            with (
                Segment.attach(name, owner="any", readonly=readonly) as handle,
                pickle.loads(pickle.dumps(handle)) as copy,
            ):
                assert (copy.name, copy.readonly, copy.size) == (name, readonly, 10)
        seg.unlink()


def test_a_name_that_stands_for_another_object_by_now_is_refused(name: str) -> None:
    with Segment.create(name, 10) as seg:
        sent = pickle.dumps(seg)
        seg.unlink()
        with pytest.raises(isthmus.NotFoundError):
            pickle.loads(sent)
        with Segment.create(name, 10) as other:
            with pytest.raises(isthmus.ReplacedError, match="made anew"):
                pickle.loads(sent)
            other.unlink()
