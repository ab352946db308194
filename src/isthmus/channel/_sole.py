"""Listening where there are no connections: one channel, for whoever comes.

The first `accept` gives it. While it is open the next one waits; after that it gives it anew.
"""

from __future__ import annotations

import os
import select

from isthmus.channel._base import Channel, Listener

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Turn:
    """The right to be the one channel. Its holder gives it back; a forked child has a copy only.

    A death of the process ends the listener as well, and so leaves nothing to be given back.
    """

    def __init__(self, bell: int) -> None:
        # Of its own, since the listener may be closed first.
        self._bell = os.dup(bell)
        self._pid = os.getpid()

    def give_back(self) -> None:
        bell, self._bell = self._bell, -1
        if bell >= 0:
            if self._pid == os.getpid():
                os.eventfd_write(bell, 1)
            os.close(bell)


class SoleListener(Listener):
    """Gives one channel at a time.

    `made` makes it, and calls `Turn.give_back` when it is released. `leave` gives the place back.
    """

    def __init__(
        self, url: str, made: Callable[[Turn], Channel], leave: Callable[[], None]
    ) -> None:
        self._made, self._leave = made, leave
        self.form = url.partition(":")[0]  # type: ignore[misc]
        # Readable while nobody has the channel.
        self._bell = os.eventfd(1, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        super().__init__(url)

    def _in(self) -> tuple[int, int]:
        return self._bell, select.POLLIN

    def _try_accept(self) -> Channel | None:
        try:
            os.eventfd_read(self._bell)
        except BlockingIOError:
            return None
        turn = Turn(self._bell)
        try:
            return self._made(turn)
        except BaseException:
            turn.give_back()
            raise

    def _release(self) -> None:
        self._leave()
        bell, self._bell = self._bell, -1
        os.close(bell)
