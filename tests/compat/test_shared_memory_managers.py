"""isthmus.compat.managers: SharedMemoryManager, and all else of multiprocessing.managers."""

from __future__ import annotations

import multiprocessing
import multiprocessing.managers
import os
import pickle
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from remote import Remote, RemoteError

from isthmus.compat import managers, shared_memory
from isthmus.compat.managers import SharedMemoryManager

SHM = Path("/dev/shm")
STANDARD = multiprocessing.managers


def there(*names: str) -> list[bool]:
    return [(SHM / name).exists() for name in names]


# ---- The module --------------------------------------------------------------------

OURS = {"SharedMemoryManager", "SharedMemoryServer", "_SharedMemoryTracker", "shared_memory"}


def test_all_names_of_the_standard_module_are_there() -> None:
    assert sorted(managers.__all__) == sorted(STANDARD.__all__)
    names = {name for name in dir(STANDARD) if not name.startswith("__")}
    assert names <= set(dir(managers))
    for name in names - OURS:
        assert getattr(managers, name) is getattr(STANDARD, name), name
    assert managers.shared_memory is shared_memory
    with pytest.raises(AttributeError):
        managers.nothing_of_that_name
    with pytest.raises(AttributeError):
        managers.__nothing__


def test_it_is_a_manager_of_the_standard_kind() -> None:
    assert issubclass(SharedMemoryManager, STANDARD.SharedMemoryManager)
    assert issubclass(managers.SharedMemoryServer, STANDARD.SharedMemoryServer)
    assert SharedMemoryManager._Server is managers.SharedMemoryServer
    standard = STANDARD.SharedMemoryServer
    for name in set(dir(standard)) - {"track_segment"}:
        if not name.startswith("_"):
            assert getattr(managers.SharedMemoryServer, name) is getattr(standard, name), name


def test_the_list_of_segments_can_be_pickled() -> None:
    tracker = managers._SharedMemoryTracker("name")
    tracker.register_segment("absent")
    again = pickle.loads(pickle.dumps(tracker))
    assert (again.shared_memory_context_name, again.segment_names) == ("name", ["absent"])
    tracker.segment_names.clear()
    again.segment_names.clear()


def test_a_manager_that_does_not_run_makes_nothing() -> None:
    manager = SharedMemoryManager()
    for make in (lambda: manager.SharedMemory(9), lambda: manager.ShareableList([1])):
        with pytest.raises(ValueError):
            make()


# ---- Running -----------------------------------------------------------------------


@pytest.fixture
def manager() -> Iterator[SharedMemoryManager]:
    with SharedMemoryManager() as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["safe", "strict"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_segments_and_lists_go_with_the_manager(
    method: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISTHMUS_COMPAT", mode)
    context = multiprocessing.get_context(method)
    manager = SharedMemoryManager(authkey=b"key", ctx=context)
    manager.start()
    segment, values = manager.SharedMemory(100), manager.ShareableList([1, "two"])
    assert (type(segment), segment.size) == (shared_memory.SharedMemory, 100)
    assert (type(values), list(values)) == (shared_memory.ShareableList, [1, "two"])
    other = shared_memory.SharedMemory(segment.name)
    names = [segment.name, values.shm.name]
    assert there(*names) == [True, True]
    with pytest.raises(STANDARD.ProcessError, match="Already started"):  # type: ignore[attr-defined]
        manager.get_server()
    manager.shutdown()
    manager.join(60)
    assert there(*names) == [False, False]
    with pytest.raises(STANDARD.ProcessError, match="has shut down"):  # type: ignore[attr-defined]
        manager.get_server()
    for each in (segment, values.shm, other):
        each.close()


@pytest.mark.slow
def test_a_segment_that_somebody_unlinked_keeps_none_of_the_others(
    manager: SharedMemoryManager,
) -> None:
    """The standard server stops at it: its other segments stay until the program ends."""
    segments = [manager.SharedMemory(10) for _ in range(3)]
    segments[0].unlink()
    manager.shutdown()
    assert there(*(each.name for each in segments)) == [False] * 3
    for each in segments:
        each.close()


@pytest.mark.slow
def test_segments_can_be_listed_and_released(manager: SharedMemoryManager) -> None:
    segment, other = manager.SharedMemory(10), manager.SharedMemory(10)
    private: Any = manager
    with private._Client(private._address, authkey=private._authkey) as connection:
        listed = managers.dispatch(connection, None, "list_segments")
    assert listed == [segment.name, other.name]
    with private._Client(private._address, authkey=private._authkey) as connection:
        managers.dispatch(connection, None, "release_segment", (segment.name,))
    assert there(segment.name, other.name) == [False, True]
    segment.close()
    other.close()


class Serving(SharedMemoryManager):
    """One that also serves objects, by proxy."""


Serving.register("Dict", dict, managers.DictProxy)


@pytest.mark.slow
def test_objects_are_served_beside_segments() -> None:
    with Serving() as manager:
        served = manager.Dict(a=1)  # type: ignore[attr-defined]
        segment = manager.SharedMemory(8)
        served["b"] = segment.name
        assert dict(served) == {"a": 1, "b": segment.name}
        segment.close()


@pytest.mark.slow
def test_a_server_of_ones_own_is_made_and_connected_to(tmp_path: Path) -> None:
    address = str(tmp_path / "server")
    with Remote() as server, Remote() as client, Remote() as last:
        manager = f"SharedMemoryManager(address={address!r}, authkey=b'key')"
        for each in (server, client, last):
            each("from isthmus.compat.managers import SharedMemoryManager")
            each(f"manager = {manager}")
        server("""
        import threading
        server = manager.get_server()
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        """)
        for each in (client, last):
            each("manager.connect()")
        names = [
            client("segment = manager.SharedMemory(10)") or client("segment.name"),
            client("values = manager.ShareableList([1, 2])") or client("values.shm.name"),
        ]
        # The standard class has it removed here, by the client's own tracker.
        assert client.end() == ""
        assert there(*names) == [True, True]
        # What track_segment was asked for.
        assert server("server.shared_memory_context.segment_names") == names
        last(f"found = SharedMemory({names[0]!r})")
        assert last.end() == ""
        server("server.shared_memory_context.unlink()")
        assert server.end() == ""
    assert there(*names) == [False, False]


@pytest.mark.slow
def test_a_killed_manager_leaves_nothing_when_the_program_has_ended() -> None:
    with Remote() as remote:
        remote("""
        import signal
        from isthmus.compat.managers import SharedMemoryManager
        manager = SharedMemoryManager()
        manager.start()
        segment, values = manager.SharedMemory(10), manager.ShareableList([1])
        """)
        names = remote("[segment.name, values.shm.name]")
        remote("manager._process.kill(); manager._process.join()")
        with pytest.raises(RemoteError):
            remote("manager.SharedMemory(10)")
        assert there(*names) == [True, True]
        errors = remote.end()
    assert there(*names) == [False, False]
    assert "2 leaked shared_memory objects" in errors


@pytest.mark.slow
def test_a_killed_program_leaves_nothing() -> None:
    with Remote() as remote:
        remote("""
        from isthmus.compat.managers import SharedMemoryManager
        manager = SharedMemoryManager()
        manager.start()
        segment = manager.SharedMemory(10)
        """)
        name, server = remote("(segment.name, manager._process.pid)")
        remote.process.kill()
        remote.process.wait()

        os.kill(server, signal.SIGKILL)  # which the standard class leaves running as well
        remote.end()
    assert there(name) == [False]
