"""For the tests of examples/channel: its programs as processes, whose output is waited for.

They are forked, with all modules loaded: starting a Python takes longer than most of the tests.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import hashlib
import os
import runpy
import select
import signal
import sys
import termios
import time
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from channels import CONNECTING, NAMED, PATIENCE, TELLING

from isthmus import channel, waiting
from isthmus.aio import channel as _awaitable

EXAMPLES = Path(__file__).parents[2] / "examples" / "channel"
LOADED = (argparse, asyncio, hashlib, waiting, _awaitable)

#: Forms where everybody who is there gets everything.
EVERYBODY = tuple(form for form in NAMED if form in CONNECTING or form == "file")
#: Forms that others can find, where the death of the other side is noticed.
NOTICING = tuple(form for form in NAMED if form in TELLING)
#: Of those, the ones where also who listens is told.
TOLD = tuple(form for form in NOTICING if form != "signal")
#: Forms whose place is known before somebody listens there.
PLACED = tuple(form for form in NAMED if form not in ("tcp", "signal"))


class Program:
    """One of the programs; killed at the end of the block, if it has not ended before.

    Whatever channel the test itself has open when it is started is open there, too.
    """

    #: Our ends of the pipes to all of them: the next one has to close its copies.
    _ours: set[int] = set()  # noqa: RUF012

    def __init__(self, name: str, *arguments: object, terminal: int | None = None) -> None:
        self.name, self.output, self._read, self._status = name, "", 0, None
        source, self._keyboard = os.pipe()
        self._screen, sink = os.pipe()
        self._ours.update((self._keyboard, self._screen))
        # What this one has printed and not yet written is not to be written twice.
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if not self.pid:
            _run(name, arguments, source if terminal is None else terminal, sink, self._ours)
        os.close(source)
        os.close(sink)

    _status: int | None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        self.leave()
        if error is not None:
            error.add_note(f"{self.name} wrote:\n{self.output}")
        self._ours.discard(self._screen)
        os.close(self._screen)

    def until(self, text: str) -> str:
        """Wait until it has written this, after what was waited for before; the line of it."""
        while (at := self.output.find(text, self._read)) < 0 or "\n" not in self.output[at:]:
            assert self._more(), f"{text!r} was not written"
        self._read = self.output.index("\n", at) + 1
        begin = self.output.rfind("\n", 0, at) + 1
        return self.output[begin : self._read - 1]

    def _more(self) -> bool:
        ready, _, _ = select.select([self._screen], [], [], PATIENCE)
        assert ready, "nothing was written in time"
        data = os.read(self._screen, 1 << 16)
        self.output += data.decode()
        return bool(data)

    def url(self) -> str:
        """Where it listens."""
        return self.until("listening on ").removeprefix("listening on ")

    def enter(self, text: str) -> None:
        """Type it; BrokenPipeError: it has ended."""
        data = text.encode()
        while data:
            data = data[os.write(self._keyboard, data) :]

    def leave(self) -> None:
        """End its input."""
        if self._keyboard >= 0:
            self._ours.discard(self._keyboard)
            os.close(self._keyboard)
            self._keyboard = -1

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Send it this; its status in the end."""
        if self._status is None:
            os.kill(self.pid, number)
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._status

    def ended(self) -> tuple[int, str]:
        """Wait for its end; its status, and all that it wrote."""
        while self._more():
            pass
        return self.kill(0), self.output

    def stop(self) -> None:
        """Let it do nothing until `go`."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def go(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def until_asleep(self) -> None:
        """Until it sleeps, many looks in a row: for a moment it may do so on its way to a wait."""
        seen, end = 0, time.monotonic() + PATIENCE
        while seen < 20:
            assert time.monotonic() < end
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
            assert state != "Z", "it has ended"
            seen = seen + 1 if state == "S" else 0
            time.sleep(0.001)


def _run(
    name: str, arguments: tuple[object, ...], source: int, sink: int, others: set[int]
) -> NoReturn:
    """In the child: as if it had been started by ``python NAME ARGUMENTS``."""
    status: object = 1
    try:
        for descriptor in others:
            os.close(descriptor)
        os.dup2(source, 0)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        os.close(source)
        os.close(sink)
        os.setsid()
        if os.isatty(0):
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
        sys.stderr = os.fdopen(2, "w", buffering=1)
        sys.argv = [name, *map(str, arguments)]
        sys.path.insert(0, str(EXAMPLES))
        try:
            runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        except SystemExit as end:
            status = end.code or 0
        if isinstance(status, str):
            print(status, file=sys.stderr)
            status = 1
        sys.stdout.flush()
    except BaseException:
        import traceback

        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(status if isinstance(status, int) else 1)


def tidy(url: str) -> None:
    """Remove what a listener that was killed has left, as the next one does."""
    if not url.startswith("signal:"):
        channel.listen(url).close()
