"""Segment.sysv: System V shared memory."""

from __future__ import annotations

import errno
import os
import pickle
from collections.abc import Iterator

import pytest

import isthmus
from isthmus import Segment
from isthmus._core import memory


@pytest.fixture
def key() -> Iterator[int]:
    """A key that nobody uses; whatever was made with it is removed."""
    while True:
        number = int.from_bytes(os.urandom(4), "little", signed=True)
        try:
            if number:
                memory.sysv_get(number, 0, 0)
        except FileNotFoundError:
            break
    yield number
    try:
        memory.sysv_remove(memory.sysv_get(number, 0, 0))
    except FileNotFoundError:
        return
    pytest.fail("the test left a System V segment behind")


def test_it_is_created_with_a_size_and_attached_to_without(key: int) -> None:
    with Segment.sysv(key, 5000, mode=0o640) as seg:
        assert (seg.size, seg.kind, seg.created, seg.mode) == (5000, "sysv", True, 0o640)
        assert seg.name == f"sysv:{key & 0xFFFFFFFF:#x}"
        assert (seg.owner, seg.group) == (os.geteuid(), os.getegid())
        with Segment.sysv(key) as same, Segment.sysv(id=seg.id) as by_id:
            seg.buf[4999] = 9
            assert same.buf[4999] == by_id.buf[4999] == 9
            assert not same.created
        seg.unlink()
        with pytest.raises(isthmus.NotFoundError, match="removed already"):
            seg.unlink()
        seg.buf[0] = 1  # lives until the last one detaches
    with pytest.raises(isthmus.NotFoundError, match="gone already"):
        seg.unlink()


def test_a_private_one_is_found_by_id_only() -> None:
    with Segment.sysv(size=100) as seg:
        seg.unlink()
        assert seg.name == f"sysv:private:{seg.id}"
        with Segment.sysv(id=seg.id) as same:
            same.buf[0] = 1
        assert seg.buf[0] == 1
    with pytest.raises(isthmus.NotFoundError):
        Segment.sysv(id=seg.id)


def test_views_outlive_the_handle() -> None:
    seg = Segment.sysv(size=4096)
    seg.unlink()
    values = seg.array((512,), "f8")
    values[:] = 2
    seg.close()
    assert seg.deferred and values.sum() == 1024
    del values
    assert not seg.deferred


def test_existing_and_missing_keys_are_told_apart(key: int) -> None:
    with pytest.raises(isthmus.NotFoundError, match="there is no System V segment"):
        Segment.sysv(key)
    with Segment.sysv(key, 100) as seg:
        with pytest.raises(isthmus.ExistsError):
            Segment.sysv(key, 100)
        with Segment.sysv(key, 100, exist_ok=True) as same:
            assert same.id == seg.id and not same.created
        with pytest.raises(isthmus.MismatchError, match="exists with 100 bytes, not 101"):
            Segment.sysv(key, 101, exist_ok=True)
        seg.unlink()


def test_read_only_and_foreign_ones(key: int, unprivileged: int) -> None:
    with Segment.sysv(key, 100, mode=0o666) as seg:
        with Segment.sysv(key, readonly=True) as reader:
            with pytest.raises(TypeError):
                reader.buf[0] = 1
            with pytest.raises(isthmus.AccessError, match="reading only"):
                reader.unlink()
        memory.sysv_set_owner(seg.id, unprivileged, -1)
        with pytest.raises(isthmus.OwnerError, match="belongs to uid 65534"):
            Segment.sysv(key)
        Segment.sysv(key, owner="any").close()
        seg.unlink()


def test_what_it_cannot_do_it_says(key: int) -> None:
    with Segment.sysv(key, 100) as seg:
        for call in (seg.fileno, lambda: seg.resize(200), seg.reserve, lambda: seg.seal("grow")):
            with pytest.raises(isthmus.UnsupportedError):
                call()
        seg.flush()
        seg.unlink()
    with pytest.raises(isthmus.UnsupportedError, match="no System V id"):
        Segment.anonymous(1).id


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "private"),
        ({"key": 0}, "private"),
        ({"key": 2**31, "size": 1}, "not a System V key"),
        ({"key": 5, "id": 5}, "no key and no size"),
        ({"id": 2**40}, "not a System V id"),
        ({"size": 1, "readonly": True}, "read-only"),
        ({"size": 0}, "size"),
    ],
)
def test_senseless_arguments_are_refused(arguments: dict[str, int], words: str) -> None:
    with pytest.raises(isthmus.ArgumentError, match=words):
        Segment.sysv(**arguments)  # type: ignore[arg-type]


def test_errors_tell_a_private_segment_by_its_id_and_one_that_is_gone_is_not_found() -> None:
    with Segment.sysv(size=10) as seg:
        sent = pickle.dumps(seg)
        seg.unlink()
        with pytest.raises(isthmus.NotFoundError, match=rf"'sysv:private:{seg.id}'"):
            seg.unlink()
    with pytest.raises(isthmus.NotFoundError, match=rf"'sysv:private:{seg.id}' is gone"):
        pickle.loads(sent)


def test_more_than_the_host_has_is_no_space_as_with_every_other_kind() -> None:
    with pytest.raises(isthmus.NoSpaceError, match="this host has") as caught:
        Segment.sysv(size=1 << 50)
    assert caught.value.errno == errno.ENOMEM
    assert caught.value.wanted == 1 << 50 > caught.value.available > 0
