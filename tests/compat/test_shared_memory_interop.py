"""isthmus.compat.shared_memory in one process, multiprocessing.shared_memory in the other."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from remote import Remote, RemoteError

from isthmus.compat.shared_memory import SharedMemory

pytestmark = pytest.mark.slow

BOTH = pytest.mark.parametrize("mode", ["safe", "strict"])


def steps(creator: Remote, other: Remote, name: str, *, takes_back: bool) -> None:
    """Create in one, attach in the other; write and read both ways; unlink in the creator."""
    creator(f"shm = SharedMemory({name!r}, create=True, size=5000)")
    with pytest.raises(RemoteError) as caught:
        other(f"SharedMemory({name!r}, create=True, size=1)")
    assert caught.value.kind == "FileExistsError"
    other(f"shm = SharedMemory({name!r})")
    if takes_back:
        other("resource_tracker.unregister(shm._name, 'shared_memory')")
    for each in (creator, other):
        assert each("(shm.name, shm.size, len(shm.buf))") == (name, 5000, 5000)
    creator("shm.buf[:5] = b'hello'")
    assert other("bytes(shm.buf[:5])") == b"hello"
    other("shm.buf[4990:] = b'0123456789'")
    assert creator("bytes(shm.buf[4990:])") == b"0123456789"
    other("shm.close()")
    creator("shm.close(); shm.unlink()")
    with pytest.raises(RemoteError) as caught:
        other(f"SharedMemory({name!r})")
    assert caught.value.kind == "FileNotFoundError"
    assert (creator.end(), other.end()) == ("", "")


@BOTH
def test_the_standard_class_attaches_to_ours(name: str, mode: str) -> None:
    with Remote(mode=mode) as ours, Remote(standard=True) as standard:
        steps(ours, standard, name, takes_back=True)


@BOTH
def test_ours_attaches_to_the_standard_class(name: str, mode: str) -> None:
    with Remote(mode=mode) as ours, Remote(standard=True) as standard:
        steps(standard, ours, name, takes_back=mode == "strict")


def test_pickled_in_the_other_process_it_is_attached_here(name: str) -> None:
    with Remote() as other:
        other(f"shm = SharedMemory({name!r}, create=True, size=10)")
        other("import pickle; shm.buf[0] = 42")
        found: Any = pickle.loads(other("pickle.dumps(shm)"))
        assert type(found) is SharedMemory
        assert (found.buf[0], found.size) == (42, 10)
        found.close()
        other("shm.close(); shm.unlink()")
        assert other.end() == ""
