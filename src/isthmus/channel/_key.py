"""Asking for the key, by the protocol of `multiprocessing.connection`.

Both sides prove that they have the secret without sending it: each answers the other's random
challenge with its HMAC. What is sent afterwards is neither encrypted nor signed.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from time import monotonic

from isthmus.channel._errors import (
    AuthenticationError,
    EndOfChannel,
    NotListeningError,
    PeerGoneError,
    TimedOut,
)
from isthmus.errors import FormatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from isthmus.channel._base import Channel

# Seconds that it may take.
_PATIENCE = 5.0
# How many may be asked at the same time; others wait to be accepted.
_ROOM = 32
# Bytes of a message that is read of somebody who has not shown the key.
_LIMIT = 256


class _Asked:
    """A channel as `multiprocessing.connection` wants it, with a time limit for all."""

    def __init__(self, channel: Channel, end: float | None) -> None:
        self._channel, self._deadline = channel, monotonic() + _PATIENCE
        if end is not None:
            self._deadline = min(self._deadline, end)

    def send_bytes(self, data: bytes) -> None:
        self._channel.send(data, timeout=max(0.0, self._deadline - monotonic()))

    def recv_bytes(self, limit: int) -> bytes:
        message = self._channel.recv(timeout=max(0.0, self._deadline - monotonic()))
        if len(message) > limit:
            raise OSError("bad message length")
        return message


def ask(channel: Any, key: bytes, first: bool, end: float | None = None) -> None:
    """Both sides show that they have the key, the one that listens first. AuthenticationError;
    NotListeningError, on the side that has connected: the other one has gone meanwhile.

    It takes five seconds at most, and no longer than until `end`.
    """
    from multiprocessing import AuthenticationError as Refused
    from multiprocessing.connection import (
        answer_challenge,
        deliver_challenge,
    )

    steps: list[Callable[[Any, bytes], None]] = [deliver_challenge, answer_challenge]
    limit, channel._limit = channel._limit, min(_LIMIT, channel._limit)
    try:
        asked = _Asked(channel, end)
        for step in steps if first else reversed(steps):
            step(asked, key)
    except (Refused, OSError, EOFError, FormatError, ValueError, AssertionError) as error:
        if not first and isinstance(error, (EndOfChannel, PeerGoneError)):
            # It says so when it refuses a key.
            raise NotListeningError(
                f"who listened on {channel.url} has gone, or sends everybody away; try again",
                name=channel.url,
            ) from None
        if isinstance(error, TimedOut):
            why = "it was not asked for one, or did not answer in time"
        elif isinstance(error, (EndOfChannel, PeerGoneError)):
            why = "it has closed the connection"
        else:
            why = "it has another key, or another protocol"
        raise AuthenticationError(
            f"the other side of {channel!r} has not shown the key: {why}", name=channel.url
        ) from None
    finally:
        channel._limit = limit


def asked(channel: Channel, key: bytes | None, end: float | None) -> Channel:
    """A channel that has just connected, once the other side has shown the key."""
    if key is not None:
        try:
            ask(channel, key, first=False, end=end)
        except BaseException:
            channel.close()
            raise
    return channel


class Doorman:
    """Asks those who connect for the key, several at a time, and lets in who has it.

    Each in a thread of its own, for five seconds at most: so one who connects and says nothing
    keeps nobody waiting.
    """

    def __init__(self, key: bytes, listening: int) -> None:
        self._key = key
        self._guests: set[Channel] = set()
        self._admitted: deque[Channel] = deque()
        self.fresh_lock()
        self._open = True
        self._listening = listening
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._both = select.epoll()
        self._both.register(listening, select.EPOLLIN)
        self._both.register(self._bell, select.EPOLLIN)

    def fresh_lock(self) -> None:
        """Also in a forked child: there, a thread that asks may have held it, and has gone."""
        self._lock = threading.Lock()

    def fileno(self) -> int:
        return self._both.fileno()

    @property
    def has_room(self) -> bool:
        """Not: so many are being asked. Then connections are not looked at until one has ended."""
        with self._lock:
            room = len(self._guests) < _ROOM
            self._both.modify(self._listening, select.EPOLLIN if room else 0)
            return room

    def receive(self, channel: Channel) -> None:
        with self._lock:
            self._guests.add(channel)
        threading.Thread(target=self._ask, args=(channel,), daemon=True).start()

    def _ask(self, channel: Channel) -> None:
        shown = admitted = False
        try:
            ask(channel, self._key, first=True)
            shown = True
        except AuthenticationError:
            pass  # it is sent away
        finally:
            with self._lock:
                self._guests.discard(channel)
                if self._open:
                    if shown:
                        self._admitted.append(channel)
                        admitted = True
                    # Also if not: there is room again.
                    os.eventfd_write(self._bell, 1)
            if not admitted:
                channel.close()

    def admitted(self) -> Channel | None:
        with self._lock:
            if self._admitted:
                return self._admitted.popleft()
            # sync: bell. Emptied under the lock under which it is written to, with nobody there.
            try:
                os.eventfd_read(self._bell)
            except BlockingIOError:
                pass
            return None

    def close(self) -> None:
        """Send away those who are being asked, and those who have not been accepted."""
        with self._lock:
            self._open = False
            left = [*self._guests, *self._admitted]
            self._admitted.clear()
            os.close(self._bell)
            self._both.close()
        for channel in left:
            channel.close()
