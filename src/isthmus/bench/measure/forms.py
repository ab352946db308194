"""Carriers of `isthmus.channel`: one for all of its forms."""

from __future__ import annotations

import functools
import importlib
import mmap
import os
import select
import shutil
import tempfile
import zlib
from contextlib import suppress
from pathlib import Path

from isthmus.bench.errors import Refused
from isthmus.bench.measure.carriers import (
    PATIENCE,
    SIZE,
    Carrier,
    found,
    looking,
    new_name,
    of_several,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from isthmus.bench.measure.carriers import Receive, Send
    from isthmus.channel import Channel, Form, Listener

# Microseconds: longer than any answer takes, so that nobody goes to sleep.
SPIN = 200


class Notice:
    """A short text that one process leaves for others."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 512)

    def write(self, text: str) -> None:
        encoded = text.encode()
        self._memory[1 : 1 + len(encoded)] = encoded
        self._memory[0] = len(encoded)

    def read(self) -> str:
        """BlockingIOError as long as there is none."""
        length = self._memory[0]
        if not length:
            raise BlockingIOError
        return self._memory[1 : 1 + length].decode()


def key_of(name: str) -> int:
    """A System V key that hardly anybody has."""
    return zlib.crc32(name.encode()) >> 1 | 1


def forget(form: str, name: str) -> None:
    """Remove the names that those leave who are killed."""
    if form == "shm":
        for path in Path("/dev/shm").glob(f"isthmus*{name}*"):
            path.unlink(missing_ok=True)
    elif form == "mq":
        from isthmus import posix

        for each in (f"/{name}", f"/{name}.back"):
            with suppress(OSError):
                posix.mq_unlink(each)
    elif form == "sysv":
        from isthmus import sysv

        key = key_of(name)
        for one in (key, key - (1 << 31)):  # the second with its highest bit set
            with suppress(OSError):
                sysv.msgctl(sysv.msgget(one), sysv.IPC_RMID)
        for path in Path("/dev/shm").glob(f"isthmus.channel.sysv.{key:#x}.*"):
            path.unlink(missing_ok=True)


class ChannelCarrier(Carrier):
    """Channels of one form: one for each sender if it has connections, else the same for all."""

    def __init__(self, form: Form, size: int = SIZE, **how: Any) -> None:
        super().__init__(size, **how)
        self.channel: Any = importlib.import_module("isthmus.channel")
        if size > form.largest:
            raise Refused(f"{form.title}: at most {form.largest} bytes a message")
        self.form = form
        # One that can be asked and answers is used as that.
        self.duplex = form.connections
        self.options: dict[str, Any] = {}
        if form.name == "shm":
            self.options["spin"] = SPIN if self.spinning else 0
        self.name, self.notice = new_name(), Notice()
        self.folder = tempfile.mkdtemp(prefix=f"{self.name}-")
        self.accepted: list[Channel] = []
        self.listener: Listener | None = None
        self.mine: Channel | None = None
        self.pairs: list[tuple[Channel, Channel]] = []
        if form.name == "pipe":
            self.pairs = [self.channel.pair("pipe") for _ in range(self.senders)]

    def url(self) -> str:
        """Where the receiver is; asked by it."""
        match self.form.name:
            case "tcp":
                where = "127.0.0.1:0"
            case "signal":
                where = str(os.getpid())
            case "shm":
                where = self.name
            case "mq":
                where = f"/{self.name}"
            case "sysv":
                where = str(key_of(self.name))
            case _:
                where = f"{self.folder}/it"
        return f"{self.form.name}:{where}"

    def listen(self) -> None:
        if not self.pairs:
            options = dict(self.options)
            self.listener = self.channel.listen(self.url(), **options)
            self.notice.write(self.listener.url)

    def sender(self, number: int = 0) -> Send:
        if self.pairs:
            mine = self.pairs[number][0]
        else:
            url = found(self.notice.read, BlockingIOError)
            mine = self.channel.connect(url, timeout=PATIENCE, **self.options)
        self.mine = mine
        return mine.send

    def receiver(self) -> Receive:
        if self.pairs:
            self.accepted = [there for _, there in self.pairs]
        else:
            if self.listener is None:
                self.listen()
            assert self.listener is not None
            count = self.senders if self.form.connections else 1
            self.accepted = [self.listener.accept(PATIENCE) for _ in range(count)]
        if len(self.accepted) > 1:
            return self._of_several()
        return self._taking(self.accepted[0])

    def _taking(self, channel: Channel) -> Receive:
        # In shared memory, the wait itself spins.
        if not self.spinning or "spin" in self.options:
            return channel.recv
        return looking(functools.partial(channel.recv, 0), TimeoutError)

    def _of_several(self) -> Receive:
        poll = select.poll()
        open_ones = {channel.fileno(): channel for channel in self.accepted}
        for descriptor in open_ones:
            poll.register(descriptor, select.POLLIN)

        def wait() -> Sequence[int]:
            if self.spinning:
                return list(open_ones)
            return [descriptor for descriptor, _ in poll.poll()]

        def take(descriptor: int) -> bytes:
            try:
                return open_ones[descriptor].recv(0)
            except EOFError:
                # One of them has sent all that it had to.
                poll.unregister(descriptor)
                del open_ones[descriptor]
                if not open_ones:
                    raise
                raise TimeoutError from None

        return of_several(wait, take, TimeoutError)

    def receiver_back(self) -> Receive:
        """Of who has connected: what is answered to it."""
        assert self.mine is not None
        return self._taking(self.mine)

    def sender_back(self) -> Send:
        """Of who has accepted: to answer."""
        return self.accepted[0].send

    def sent(self) -> None:
        if self.mine is not None:
            self.mine.close()

    def received(self) -> None:
        for one in self.accepted:
            one.close()
        if self.listener is not None:
            self.listener.close()

    def close(self) -> None:
        self.sent()
        self.received()
        for both in self.pairs:
            for end in both:
                end.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        forget(self.form.name, self.name)
