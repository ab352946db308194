"""Contenders for tests of the benchmark: one that works, and some that misbehave."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from isthmus.bench.errors import Refused
from isthmus.bench.measure.carriers import Carrier, Receive, Send
from isthmus.bench.measure.contenders import Contender


class Datagrams(Carrier):
    """A socket pair that keeps messages apart, by the smallest program that does."""

    def __init__(self, size: int = 64, **how: Any) -> None:
        super().__init__(size, **how)
        self.here, self.there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def sender(self, number: int = 0) -> Send:
        return self.here.send

    def receiver(self) -> Receive:
        receive, size = self.there.recv, self.size
        return lambda: receive(size)

    def close(self) -> None:
        self.here.close()
        self.there.close()


class Killed(Datagrams):
    """Whose sender is killed."""

    def sender(self, number: int = 0) -> Send:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().sender()


class Stopped(Datagrams):
    """Whose receiver is stopped, for ever."""

    def receiver(self) -> Receive:
        os.kill(os.getpid(), signal.SIGSTOP)
        return super().receiver()


class Endless(Datagrams):
    """Whose receiver takes nothing, and does not end."""

    def receiver(self) -> Receive:
        def receive() -> bytes:
            while True:
                signal.pause()

        return receive


class Losing(Datagrams):
    """That drops the hundredth message."""

    def sender(self, number: int = 0) -> Send:
        send = super().sender()
        sent = 0

        def lose(message: bytes) -> None:
            nonlocal sent
            sent += 1
            if sent != 100:
                send(message)

        return lose


class Swapping(Datagrams):
    """That delivers the hundredth message after the one that follows it."""

    def receiver(self) -> Receive:
        receive = super().receiver()
        got, kept = 0, []

        def swap() -> Any:
            nonlocal got
            got += 1
            if got == 100:
                kept.append(receive())
            return kept.pop() if got == 101 else receive()

        return swap


class Damaging(Datagrams):
    """That changes a byte of the third message."""

    def receiver(self) -> Receive:
        receive = super().receiver()
        got = 0

        def damage() -> Any:
            nonlocal got
            got += 1
            message = receive()
            return message if got != 3 else message[:-1] + b"?"

        return damage


class Mute(Datagrams):
    """Whose sender raises."""

    def sender(self, number: int = 0) -> Send:
        raise OverflowError("not a word")


class Deaf(Datagrams):
    """Whose receiver raises when it receives."""

    def receiver(self) -> Receive:
        def receive() -> Any:
            raise OverflowError("not a sound")

        return receive


class Raising(Datagrams):
    """Whose receiver raises."""

    def receiver(self) -> Receive:
        raise OverflowError("not today")


class Refusing(Datagrams):
    """That can carry less than it is asked to."""

    def __init__(self, size: int = 64, **how: Any) -> None:
        if size > 100:
            raise Refused("at most 100 bytes")
        super().__init__(size, **how)


def contender(kind: Callable[..., Carrier], id: str = "test") -> Contender:
    """Of that kind, which blocks."""
    return Contender(id, f"the {id}", "rival", kind=kind, modes=("blocking",))


def children() -> set[str]:
    """Of all threads of this process, also those that other tests have left to it."""
    lists = Path("/proc/self/task").glob("*/children")
    return {pid for each in lists for pid in each.read_text().split()}
