"""Handles on a file descriptor: what an event loop can wait for."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from isthmus._core.doorbell import Descriptor


class Readable:
    """Mixed in beside a class of the binding."""

    __slots__ = ()

    if TYPE_CHECKING:
        _descriptor: Any

    def fileno(self) -> int:
        """A descriptor that polls as readable as long as this is ready, as for `isthmus.wait`.

        For `select`, `poll`, `epoll` and event loops, and for waiting only: there is nothing to
        read from it. It may be readable for nothing: another one has been faster, or somebody
        who had this open has gone. So take without waiting, and carry on if nothing is there;
        that also makes it say what is true.

        It is made at the first call, takes three descriptors of this process, and goes when the
        handle is closed; a forked child gets one of its own. As long as nobody asks for it, it
        costs nothing. Nothing of it is left by a process that dies.

        ClosedError. OSError: too many are open. TooManyParticipantsError (first use in a forked
        child).
        """
        number: int = self._descriptor(False)
        return number


class Writable:
    """The same for what can be written to."""

    __slots__ = ()

    if TYPE_CHECKING:
        _descriptor: Any

    def writable_fileno(self) -> int:
        """A descriptor that polls as *readable* as long as there is room. Otherwise as `fileno`.

        So it is to be waited for as for reading, ``select.select([q.writable_fileno()], [], [])``
        or ``loop.add_reader``. Room for what: for a message as large as the last one by this
        handle for which there was none, and for an empty one if that has not happened.
        """
        number: int = self._descriptor(True)
        return number


def made(handle: Any, side: int) -> Descriptor:
    """A new one. Called by the binding."""
    from isthmus import _ending
    from isthmus._core import doorbell

    _ending.arrange(doorbell)
    return doorbell.Descriptor(handle, side)
