"""The supervisor's side of the roles: processes started, told, listened to, and ended."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

import isthmus
from isthmus.demo.errors import RoleLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

# How long the monitor may take for its last frame. Then it hangs, and is ended.
_LAST_FRAME = 1.0


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C, and what else ends us in good order, waits until the end of the block."""
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    )
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Member:
    """One process: its role, and the pipe that its answers come through."""

    def __init__(self, role: str, process: subprocess.Popen[bytes], answers: int) -> None:
        self.role = role
        self.process = process
        self.answers = answers
        self.received = b""
        self.said: dict[str, Any] = {}

    @property
    def pid(self) -> int:
        return self.process.pid

    def fileno(self) -> int:
        """To be waited for."""
        return self.answers

    def listen(self) -> bool:
        """Take in what it has answered; False if that was its end."""
        received = os.read(self.answers, 4096)
        *lines, self.received = (self.received + received).split(b"\n")
        for line in lines:
            answer, _, facts = line.decode().partition(" ")
            self.said[answer] = json.loads(facts)
        return bool(received)

    def ends_within(self, seconds: float) -> bool:
        """Whether it ends in that time."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self.answers], [], [], left)[0] and not self.listen():
                return True
        return False

    def lost(self) -> RoleLost:
        """Why it is gone. Its pipe has closed, so it is dead or about to be."""
        status = self.process.wait()
        reason = self.said.get("failed", {}).get("reason")
        return RoleLost(self.role, self.pid, status, reason)


class Crew:
    """The processes of one session.

    Args:
        session: the name that all of them get.
        on_loss: called when one has ended before its time without which it goes on: the
            monitor, or a consumer that is not the last one.
    """

    def __init__(self, session: str, on_loss: Callable[[RoleLost], None]) -> None:
        self._session = session
        self._on_loss = on_loss
        self.members: list[Member] = []

    def having(self, *roles: str) -> list[Member]:
        """Those that are there; of these roles, if any are given."""
        return [one for one in self.members if not roles or one.role in roles]

    def start(self, role: str, *options: tuple[str, int]) -> None:
        """Start a role; options whose names end in ``-fd`` hand over that descriptor."""
        arguments = [f"--session={self._session}"]
        arguments += [f"{option}={value}" for option, value in options]
        handed = [value for option, value in options if option.endswith("-fd")]
        # No signal may come before the child is on the list. SIGINT stays blocked in the
        # child: Ctrl-C reaches the whole terminal, but it is for the supervisor to end the others.
        with uninterrupted():
            answers, theirs = os.pipe()
            try:
                process = subprocess.Popen(  # noqa: S603
                    # -P and the path: the same modules as here, not those of the directory.
                    [sys.executable, "-P", "-m", f"isthmus.demo.{role}", *arguments,
                     f"--answers-fd={theirs}"],
                    stdin=subprocess.PIPE,
                    pass_fds=[*handed, theirs],
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                )  # fmt: skip
            except BaseException:
                os.close(answers)
                raise
            finally:
                os.close(theirs)
            self.members.append(Member(role, process, answers))

    def tell(self, order: str, *roles: str) -> None:
        """Give an order; to those that are there."""
        for member in self.having(*roles):
            assert member.process.stdin is not None
            # One that has died is noticed by the end of its answers.
            with suppress(BrokenPipeError):
                os.write(member.process.stdin.fileno(), order.encode() + b"\n")

    def hear(self, answer: str, *roles: str) -> list[Any]:
        """Wait until each has given `answer`; what came with them."""
        while not all(answer in member.said for member in self.having(*roles)):
            self.attend()
        return [member.said.pop(answer) for member in self.having(*roles)]

    def attend(self, *others: isthmus.Queue) -> None:
        """Wait until there is an answer, or one of the others is ready.

        Raises RoleLost if one that is needed has ended.
        """
        ready = isthmus.wait([*self.members, *others])
        ended = [one for one in self.members if one in ready and not one.listen()]
        # If one that is not needed has ended and another one as well, the other one is what counts.
        lost = [(self._take_off(member), member.role) for member in ended]
        for error, role in lost:
            if role == "producer" or not self.having("consumer"):
                raise error
        for error, _ in lost:
            self._on_loss(error)

    def _take_off(self, member: Member) -> RoleLost:
        self.members.remove(member)
        os.close(member.answers)
        assert member.process.stdin is not None
        with suppress(BrokenPipeError):
            member.process.stdin.close()
        return member.lost()

    def finish(self, role: str) -> None:
        """Let those of a role end by themselves; one that takes too long is ended."""
        for member in self.having(role):
            with uninterrupted():
                assert member.process.stdin is not None
                member.process.stdin.close()
                if not member.ends_within(_LAST_FRAME):
                    member.process.kill()
                self._take_off(member)

    def dismiss(self) -> None:
        """End all that are left, at once. Whatever they are doing, nobody depends on it."""
        with uninterrupted():
            # It may have hidden the cursor, and has nothing to do but to stop.
            self.finish("monitor")
            for member in self.members:
                member.process.kill()
            for member in list(self.members):
                self._take_off(member)
