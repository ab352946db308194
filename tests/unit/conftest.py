"""Fixtures for the tests of the bare calls."""

from __future__ import annotations

from bare_calls import key, msqid, posix_name, queue_name, semid, shmid

__all__ = ["key", "msqid", "posix_name", "queue_name", "semid", "shmid"]
