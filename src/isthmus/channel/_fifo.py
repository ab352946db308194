"""Named pipes, between strangers, of whom either may come first, go, and come back.

Each who connects has a channel of its own, of two FIFOs. How they meet, and what each death leaves:
see `_meeting`. What is sent before that waits in the FIFO of who has connected, which takes 64
KiB, as long as that one has it open. When it closes it before it is accepted, what it has sent
still arrives if somebody listens, as with a socket, and is dropped if nobody does.

Once accepted, all is as with pipes: the end is seen when the other side has closed it or has died.
Who was accepted by one that has died connects again.
"""

from __future__ import annotations

import os
import select
import threading

from isthmus.channel import _address
from isthmus.channel._base import Channel, Listener
from isthmus.channel._caller import Caller
from isthmus.channel._forms import Form
from isthmus.channel._frames import LIMIT, StreamChannel
from isthmus.channel._meeting import LOOK, WELCOME, Known, path_of, waiting_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from typing_extensions import Buffer

LISTEN = frozenset({"mode", "limit"})
CONNECT = frozenset({"mode", "limit"})
PAIR = frozenset({"limit"})


class FifoChannel(StreamChannel):
    """A connection of two FIFOs, which have no names any more once it is accepted."""

    form = "fifo"

    def __init__(
        self, url: str, source: int, sink: int, limit: int, caller: Caller | None = None,
        peer: str | None = None,
    ) -> None:  # fmt: skip
        # Until it is accepted: what that takes.
        self._caller = caller
        self._peer = peer
        super().__init__(url, source, sink, limit)

    @property
    def peer(self) -> str | None:
        return self._peer

    def _fresh_locks(self) -> None:
        super()._fresh_locks()
        self._joining = threading.Lock()

    def _release(self) -> None:
        super()._release()
        caller, self._caller = self._caller, None
        if caller is not None:
            caller.give_up()

    def _is_accepted(self) -> bool:
        """Whether somebody has welcomed this one; else see to it that somebody will.

        False also while another thread, or whom a signal handler has interrupted, is at it.
        """
        if self._caller is None:
            return True
        if not self._joining.acquire(blocking=False):
            return False
        try:
            caller = self._caller
            if caller is None:
                return True
            if not waiting_in(self._source):
                caller.look()
                return False
            # In this order: while it has its name, a welcome has not been read.
            caller.hide()
            said = os.read(self._source, len(WELCOME))
            if said != WELCOME:
                raise self._garbage(f"{said!r} for a welcome")
            self._caller = None
            # From now on, the kernel tells when the other side has gone.
            caller.leave()
            return True
        finally:
            self._joining.release()

    def send(self, data: Buffer, timeout: float | None = None) -> None:
        if self._caller is None:
            super().send(data, timeout)
        else:
            # By the attempts below, which look whether it has been accepted.
            Channel.send(self, data, timeout)

    def _try_recv(self) -> bytes | None:
        if self._caller is not None and not self._is_accepted():
            return None
        return super()._try_recv()

    def _try_recv_into(self, view: memoryview) -> int | None:
        if self._caller is not None and not self._is_accepted():
            return None
        return super()._try_recv_into(view)

    def _try_send(self, message: Any) -> bool | None:
        if self._caller is not None:
            self._is_accepted()
        return super()._try_send(message)

    def _nap(self, side: tuple[int, int]) -> float | None:
        # An attempt looks after that.
        return LOOK if self._caller is not None else None

    def _watched(self) -> int:
        if self._caller is not None:
            self._is_accepted()
        return super()._watched()

    def __reduce__(self) -> tuple[Any, ...]:
        self._check()
        if not self._is_accepted():
            raise TypeError(f"{self!r} has not been accepted yet; it cannot be passed on")
        return super().__reduce__()


class FifoListener(Listener):
    """A FIFO where others say that they have come."""

    form = "fifo"

    def __init__(self, url: str, known: Known, limit: int) -> None:
        self._known, self._limit = known, limit
        super().__init__(url)

    def _in(self) -> tuple[int, int]:
        return self._known.descriptor, select.POLLIN

    def _release(self) -> None:
        self._known.leave()

    def _try_accept(self) -> Channel | None:
        while (token := self._known.next()) is not None:
            found = self._known.welcomed(token)
            if found is not None:
                peer = f"uid {found.uid}"
                made = FifoChannel(self._url, found.source, found.sink, self._limit, peer=peer)
                made._buffer = found.received
                return made
        return None


def facts() -> Form:
    return Form(
        name="fifo",
        title="named pipe",
        reach="host",
        joins="any process that may write to the FIFO, and to its directory",
        connections=True,
        notices_death=True,
        random_access=False,
        keeps="what was sent until it is accepted, 64 KiB, while that side or a listener is there",
        largest=LIMIT,
        order="as sent, in each direction",
        permissions="mode and owner of the FIFO, of its directory",
        url="fifo:/path",
    )


def listen(where: str, mode: int | None = None, limit: int = LIMIT) -> Listener:
    url = f"fifo:{_address.quoted(where)}"
    return FifoListener(url, Known(path_of(where), mode, url), limit)


def connect(where: str, timeout: float | None, mode: int = 0o600, limit: int = LIMIT) -> Channel:
    url = f"fifo:{_address.quoted(where)}"
    caller = Caller(path_of(where), mode, url)
    return FifoChannel(url, caller.source, caller.sink, limit, caller)


def pair(limit: int = LIMIT) -> tuple[Channel, Channel]:
    """As they are once they are accepted: a FIFO whose name has gone is a pipe."""
    opened: list[int] = []
    try:
        for _ in range(2):
            opened += os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        for each in opened:
            os.close(each)
        raise
    there, back = opened[:2], opened[2:]
    return (
        FifoChannel("fifo:", there[0], back[1], limit),
        FifoChannel("fifo:", back[0], there[1], limit),
    )
