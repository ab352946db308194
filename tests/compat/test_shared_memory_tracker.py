"""isthmus.compat.shared_memory and multiprocessing's resource tracker: who removes what, and when.

Each process here must end without a word on stderr, unless the test says which.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from remote import Remote, RemoteError

pytestmark = pytest.mark.slow

SHM = Path("/dev/shm")
CREATE = "shm = SharedMemory({!r}, create=True, size=64)"
ATTACH = "shm = SharedMemory({!r})"
# The process of multiprocessing that a test starts, and waits for.
CHILD = """
import multiprocessing
child = multiprocessing.get_context("{method}").Process(target=work, args=("{name}",))
child.start()
child.join()
"""
METHODS = pytest.mark.parametrize("method", ["fork", "spawn"])


def creator(name: str) -> Remote:
    remote = Remote()
    remote(CREATE.format(name))
    return remote


def there(name: str) -> bool:
    return (SHM / name).exists()


# ---- The creator ends --------------------------------------------------------------


@pytest.mark.parametrize("mode", ["safe", "strict"])
def test_the_tracker_removes_the_segment_of_a_killed_creator(name: str, mode: str) -> None:
    with Remote(mode=mode) as remote:
        remote(CREATE.format(name))
        assert there(name)
        errors = remote.kill()
    assert not there(name)
    assert "1 leaked shared_memory objects to clean up" in errors


def test_without_tracking_the_segment_stays_and_nothing_is_started(name: str) -> None:
    with Remote() as remote:
        remote(f"shm = SharedMemory({name!r}, create=True, size=64, track=False)")
        assert not remote.has_tracker
        assert remote.kill() == ""
    assert there(name)
    with Remote() as remote:
        remote(f"shm = SharedMemory({name!r}, track=False)")
        remote("shm.unlink()")
        assert not remote.has_tracker
        assert remote.end() == ""
    assert not there(name)


def test_a_creator_that_unlinks_leaves_nothing_to_say(name: str) -> None:
    with creator(name) as remote:
        remote("shm.close(); shm.unlink()")
        assert remote.end() == ""


def test_names_that_the_tracker_cannot_take_work_without_it(name: str) -> None:
    """The standard class raises, and leaves the segment, or its tracker prints a traceback."""
    with Remote() as remote:
        for odd in (f"{name}-é", f"{name}:1", f"{name}\n"):
            remote(CREATE.format(odd))
            assert there(odd)
            remote("shm.close(); shm.unlink()")
            assert not there(odd)
        assert remote.end() == ""


# ---- Who attaches ends -------------------------------------------------------------


@pytest.mark.parametrize("end", ["end", "kill"])
def test_an_unrelated_process_that_ends_removes_nothing(name: str, end: str) -> None:
    with creator(name) as first, Remote() as second:
        second(ATTACH.format(name))
        assert not second.has_tracker
        assert getattr(second, end)() == ""
        assert there(name)
        first("shm.close(); shm.unlink()")
        assert first.end() == ""


def test_strict_mode_removes_a_segment_in_use_as_the_standard_class_does(name: str) -> None:
    with creator(name) as first, Remote(mode="strict") as second:
        second(ATTACH.format(name))
        second("shm.close()")
        assert "1 leaked shared_memory objects" in second.end()
        assert not there(name)
        assert first("shm.close()") is None
        assert first.end() == ""


def test_who_creates_or_attaches_starts_no_tracker_to_attach(name: str) -> None:
    with creator(name) as first, Remote() as second:
        with pytest.raises(RemoteError) as caught:
            second(CREATE.format(name))
        assert caught.value.kind == "FileExistsError"
        second(ATTACH.format(name))
        assert not second.has_tracker
        assert second.end() == ""
        first("shm.close(); shm.unlink()")
        assert first.end() == ""


@METHODS
def test_a_child_that_ends_removes_nothing(name: str, method: str) -> None:
    with creator(name) as remote:
        remote("work = SharedMemory")
        remote(CHILD.format(method=method, name=name))
        assert remote("child.exitcode") == 0
        assert there(name)
        remote("shm.close(); shm.unlink()")
        assert remote.end() == ""


# ---- Somebody else unlinks ---------------------------------------------------------


def test_an_unrelated_process_unlinks_and_the_creator_says_nothing(name: str) -> None:
    with creator(name) as first, Remote() as second:
        second(ATTACH.format(name))
        second("shm.unlink()")
        assert second.end() == ""
        with pytest.raises(RemoteError) as caught:
            first("shm.unlink()")
        assert caught.value.kind == "FileNotFoundError"
        assert first.end() == ""


@pytest.mark.parametrize("last", ["shm.close()", "pass"])
def test_a_creator_whose_segment_was_unlinked_ends_without_a_word(name: str, last: str) -> None:
    with creator(name) as first, Remote() as second:
        second(ATTACH.format(name))
        second("shm.unlink()")
        first(last)
        assert first.end() == ""


def test_a_creator_that_has_closed_does_not_learn_of_it_before_it_unlinks(name: str) -> None:
    with creator(name) as quiet, Remote() as second:
        quiet("shm.close()")
        second(f"SharedMemory({name!r}).unlink()")
        with pytest.raises(RemoteError):
            quiet("shm.unlink()")
        assert quiet.end() == ""
        with creator(name) as first:
            first("shm.close()")
            second(f"SharedMemory({name!r}).unlink()")
            assert "1 leaked shared_memory objects" in first.end()
        assert second.end() == ""


def test_a_creator_does_not_forget_the_next_segment_of_that_name(name: str) -> None:
    with creator(name) as first:
        first("shm.__class__(shm.name).unlink()")
        first(f"again = SharedMemory({name!r}, create=True, size=128)")
        first("shm.close()")
        assert "1 leaked shared_memory objects" in first.kill()
    assert not there(name)


@METHODS
@pytest.mark.parametrize("track", [True, False])
def test_a_child_unlinks_and_the_creator_says_nothing(name: str, method: str, track: bool) -> None:
    """With the standard class, a child that does not track leaves the tracker a name to miss."""
    with creator(name) as remote:
        remote("from shm_children import unlink as work")
        remote(CHILD.format(method=method, name=name).replace('",)', f'", {track})'))
        assert remote("child.exitcode") == 0
        assert not there(name)
        assert remote.end() == ""


@METHODS
def test_the_tracker_removes_what_a_child_has_left(name: str, method: str) -> None:
    with Remote() as remote:
        remote("resource_tracker.ensure_running()")
        remote("from shm_children import create as work")
        remote(CHILD.format(method=method, name=name))
        assert remote("child.exitcode") == 0
        assert there(name)
        assert "1 leaked shared_memory objects" in remote.end()
    assert not there(name)


# ---- Programs that take an attached segment back from the tracker ------------------

TAKE_BACK = "resource_tracker.unregister(shm._name, 'shared_memory')"


def test_who_takes_an_attached_segment_back_hears_nothing(name: str) -> None:
    """Which the standard class needs, lest the segment goes with the process."""
    with creator(name) as first, Remote() as second:
        second(ATTACH.format(name))
        second(TAKE_BACK)
        assert not second.has_tracker
        assert second.end() == ""
        assert there(name)
        first("shm.close(); shm.unlink()")
        assert first.end() == ""


def test_a_creator_unlinks_what_was_taken_back_from_its_tracker(name: str) -> None:
    """The standard class makes its tracker print a traceback."""
    with creator(name) as remote:
        remote(f"other = SharedMemory({name!r})")
        remote(TAKE_BACK)
        remote(TAKE_BACK)
        remote("shm.unlink()")
        assert remote.end() == ""


def test_the_standard_class_in_the_same_process_is_tracked_as_before(name: str) -> None:
    with Remote() as remote:
        remote("from multiprocessing import shared_memory")
        remote(f"shm = shared_memory.SharedMemory({name!r}, create=True, size=64)")
        remote(f"other = SharedMemory({name!r})")
        remote("other.close(); shm.close(); shm.unlink()")
        remote(f"shm = shared_memory.SharedMemory({name!r}, create=True, size=64)")
        assert "1 leaked shared_memory objects" in remote.kill()
    assert not there(name)
