"""Where the roles meet: two queues and two topics, all in shared memory.

::

    name       kind    from                 to            what
    …-jobs     Queue   producer             consumers     chunks of the file, as bytes
    …-results  Queue   producer, consumers  supervisor    what each has made of which chunk
    …-progress Topic   supervisor           monitor       how far it is, again and again
    …-frames   Topic   producer             one consumer  chunks, when topics are compared

They have names only until all roles have joined. From then on the kernel frees everything
when the last process that has it is gone, in whichever way.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress

from isthmus import Publisher, Queue, Topic
from isthmus.errors import IsthmusError

# Nobody wants more.
SLOTS_MAX = 4096
SLOT_MIN = 64
# A message takes 32 bytes beside its own, and whole words.
_OVERHEAD = 64


def capacity_of(size: int) -> int:
    """What a queue makes of a capacity: at least a page, and a power of two.

    >>> capacity_of(1), capacity_of(5 << 20) >> 20
    (4096, 8)
    """
    return max(4096, 1 << (size - 1).bit_length())


def slot_size(capacity: int, slots: int) -> int:
    """The largest chunk, in whole cache lines, of which `slots` are in the queue at once.

    >>> slot_size(4 << 20, 8)
    524224
    """
    return capacity_of(capacity) // slots // SLOT_MIN * SLOT_MIN - _OVERHEAD


def names(session: str) -> dict[str, str]:
    return {what: f"{session}-{what}" for what in ("jobs", "results", "progress", "frames")}


class Meeting:
    """The four of them, made, as the supervisor has them."""

    def __init__(self, session: str, capacity: int) -> None:
        called = names(session)
        with ExitStack() as stack:
            add = stack.enter_context
            self.jobs = add(Queue.create(called["jobs"], capacity=capacity))
            self.results = add(Queue.create(called["results"], capacity="1 MiB"))
            # Who looks on never holds up anybody: it misses what it is too slow for.
            self.progress = add(
                Publisher.create(called["progress"], capacity="64 KiB", overflow="overwrite")
            )
            self.frames = add(Publisher.create(called["frames"], capacity=capacity))
            self._open = stack.pop_all()

    def unlink(self) -> None:
        for one in (self.jobs, self.results, self.progress, self.frames):
            one.unlink()

    def close(self) -> None:
        self._open.close()


def forsake(session: str) -> None:
    """Remove what a supervisor has left that died before it could: looking is enough.

    What nobody has open any more goes when it is looked for, and what somebody has goes when
    the last one closes it.
    """
    for what, name in names(session).items():
        with suppress(IsthmusError):
            (Queue.attach if what in ("jobs", "results") else Topic)(name).close()
