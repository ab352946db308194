"""A command in a terminal of its own, for tests: typed to, read from, sent signals."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from types import TracebackType
from typing import Self

from demo_runs import ENVIRONMENT, PATIENCE


class InTerminal:
    """`isthmus …` in a terminal, of 80x24 unless told. `output` is what came until now."""

    def __init__(self, *arguments: str, columns: int = 80, lines: int = 24) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.before = termios.tcgetattr(slave)
        self._slave = slave
        self.output = b""
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "isthmus", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=ENVIRONMENT,
            start_new_session=True,
        )
        self._pidfd = os.pidfd_open(self.process.pid)

    def read_until(self, needle: bytes) -> None:
        deadline = time.monotonic() + PATIENCE
        while needle not in self.output:
            assert self._read(deadline), self.output[-2000:]

    def _read(self, deadline: float) -> bool:
        """Read what has come; whether more may come: it has not ended."""
        watched = [self._master, self._pidfd]
        ready = select.select(watched, [], [], max(0.0, deadline - time.monotonic()))[0]
        assert ready, "nothing comes, and it does not end"
        if self._master in ready:
            self.output += os.read(self._master, 65536)
        return self._master in ready

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def finish(self) -> int:
        """Wait for the end, reading what comes meanwhile: the exit code."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        return self.process.wait()

    @property
    def restored(self) -> bool:
        """Whether the terminal is as it was before: its modes, its screen, its cursor."""
        return (
            termios.tcgetattr(self._slave) == self.before
            and self.output.rfind(b"\x1b[?1049l") > self.output.rfind(b"\x1b[?1049h")
            and self.output.rfind(b"\x1b[?25h") > self.output.rfind(b"\x1b[?25l")
            and self.output.rfind(b"\x1b[?1000l") > self.output.rfind(b"\x1b[?1000h")
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        os.close(self._pidfd)
        os.close(self._master)
        os.close(self._slave)
