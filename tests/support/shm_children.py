"""What child processes do with shared memory; importable under every start method."""

from __future__ import annotations

from isthmus.compat.shared_memory import SharedMemory


def unlink(name: str, track: bool) -> None:
    shm = SharedMemory(name, track=track)
    shm.close()
    shm.unlink()


def create(name: str) -> None:
    SharedMemory(name, create=True, size=64).close()
