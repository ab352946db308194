"""Pauses of one who connects, which can be ended: by nobody, unless a task awaits it.

A thread that waits in one cannot be stopped otherwise, and a program whose task was cancelled
would wait at its end for that thread.
"""

from __future__ import annotations

from contextvars import ContextVar
from time import sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading

#: Set when nobody waits for it any more.
given_up: ContextVar[threading.Event | None] = ContextVar("given_up", default=None)


class GivenUp(Exception):
    """Nobody waits for it any more; for nobody to see."""


def pause_for(seconds: float) -> None:
    event = given_up.get()
    if event is None:
        sleep(seconds)
    elif event.wait(seconds):
        raise GivenUp
