"""Running `isthmus demo` in a process of its own, and looking into what it does."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from isthmus import Queue, _reopen

PATIENCE = 60.0
# Whatever the surroundings say about colour and size is none of the tests' business.
ENVIRONMENT = {
    key: value
    for key, value in os.environ.items()
    if key not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE"}
} | {"TERM": "xterm"}
_ROLES = re.compile(r"producer (\d+), consumers? (.*?), monitor (\d+)")


def command(*arguments: object, flags: tuple[str, ...] = ()) -> list[str]:
    return [sys.executable, "-P", *flags, "-m", "isthmus", "demo", *map(str, arguments)]


def demo(*arguments: object, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """A run from beginning to end."""
    return subprocess.run(
        command(*arguments, flags=flags),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=ENVIRONMENT,
        check=False,
    )


def told(output: str, verb: str) -> str:
    """What a step of the output says, its lines joined."""
    match = re.search(rf"^ *{verb}  (.*(?:\n {{10}}\S.*)*)", output, re.MULTILINE)
    assert match, output
    return re.sub(r"\s+", " ", match[1])


def until(condition: Callable[[], object]) -> None:
    """Wait, bounded, for something that nobody would tell us."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


class DemoRun:
    """A demo under way. `pids` is filled as soon as it has told them."""

    def __init__(self, *arguments: object) -> None:
        # In a group of its own, so that the test can press Ctrl-C for all of it.
        self.process = subprocess.Popen(
            command(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
            start_new_session=True,
        )
        self.pids = {"supervisor": self.process.pid}
        self.consumers: list[int] = []
        self._watched = {self.process.pid: os.pidfd_open(self.process.pid)}
        self.output = ""
        self._watchdog = threading.Timer(PATIENCE, self.process.kill)
        self._watchdog.start()

    def read_until(self, verb: str) -> None:
        """Read the output up to and with the first line of a step."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if line.strip().startswith("meet  "):
                self._meet()
            if line.strip().startswith(f"{verb}  "):
                return
        raise AssertionError(f"it ended: {self.output}{self.finish()[1]}")

    def _meet(self) -> None:
        """Those that it has told of: the first consumer is "consumer", all are in `consumers`."""
        match = _ROLES.search(told(self.output, "start"))
        assert match, self.output
        self.consumers = [int(pid) for pid in re.findall(r"\d+", match[2])]
        self.pids["producer"], self.pids["monitor"] = int(match[1]), int(match[3])
        self.pids["consumer"] = self.consumers[0]
        for pid in (self.pids["producer"], *self.consumers, self.pids["monitor"]):
            self._watched[pid] = os.pidfd_open(pid)

    def jobs(self) -> Queue:
        """The queue, which has no name any more, as the first consumer has it."""
        directory = Path(f"/proc/{self.pids['consumer']}/fd")
        for path in directory.iterdir():
            if "-jobs" in os.readlink(path):
                fd = os.open(path, os.O_RDWR)
                try:
                    queue = _reopen.anonymous(Queue, (None, None), fd)
                finally:
                    os.close(fd)
                assert isinstance(queue, Queue)
                return queue
        raise AssertionError("the consumer has no queue")

    def under_way(self) -> Queue:
        """Wait until a chunk has been done."""
        jobs = self.jobs()

        def done() -> bool:
            facts = jobs.stats()
            return facts.put > facts.ready + facts.leased

        until(done)
        return jobs

    def kill(self, role: str, number: int = signal.SIGKILL) -> None:
        os.kill(self.pids[role], number)

    def children(self, role: str) -> list[int]:
        """The processes of this role that the supervisor has at the moment."""
        pid = self.process.pid
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        needle = f"isthmus.demo.{role}"
        return [int(one) for one in found if needle in Path(f"/proc/{one}/cmdline").read_text()]

    def finish(self) -> tuple[int, str, str]:
        """Wait for the end: exit code, all output, messages."""
        output, messages = self.process.communicate(timeout=PATIENCE)
        self.output += output
        return self.process.returncode, self.output, messages

    def all_gone(self, but: str | None = None) -> bool:
        """Wait for all processes to end, but for that of one role."""
        deadline = time.monotonic() + PATIENCE
        return all(
            select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0]
            for pid, fd in self._watched.items()
            if but is None or pid != self.pids[but]
        )

    def left_behind(self) -> list[str]:
        return [
            name for name in os.listdir("/dev/shm") if f"isthmus-demo-{self.process.pid}-" in name
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._watchdog.cancel()
        self._watchdog.join()
        self.process.kill()
        for fd in self._watched.values():
            # One that a test has stopped would keep the pipes open that are read below.
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            os.close(fd)
        self.process.communicate()
