"""The supervisor's side of the roles: processes started, told, listened to, and ended."""

from __future__ import annotations

import os
import select
import selectors
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

from isthmus.demo.errors import RoleLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

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
    """One role: its process, and the pipe that its answers come through."""

    def __init__(self, role: str, process: subprocess.Popen[bytes], answers: int) -> None:
        self.role = role
        self.process = process
        self.answers = answers
        self.received = b""
        self.said: set[str] = set()

    @property
    def pid(self) -> int:
        return self.process.pid

    def listen(self) -> bool:
        """Take in what it has answered; False if that was its end."""
        received = os.read(self.answers, 4096)
        *lines, self.received = (self.received + received).split(b"\n")
        self.said.update(line.decode() for line in lines)
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
        reason = next((word[7:] for word in self.said if word.startswith("failed ")), None)
        return RoleLost(self.role, self.pid, status, reason)


class Crew:
    """The processes of one session.

    Args:
        session: the name that all of them get.
        on_loss: called when the monitor, which is not needed, has ended before its time.
    """

    def __init__(self, session: str, on_loss: Callable[[RoleLost], None]) -> None:
        self._session = session
        self._on_loss = on_loss
        self._selector = selectors.DefaultSelector()
        self.members: dict[str, Member] = {}

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
            self.members[role] = Member(role, process, answers)
            self._selector.register(answers, selectors.EVENT_READ, role)

    def tell(self, order: str, roles: Iterable[str] | None = None) -> None:
        """Give an order; to those that are there."""
        for role in list(self.members) if roles is None else roles:
            member = self.members.get(role)
            if member is not None:
                assert member.process.stdin is not None
                # One that has died is noticed by the end of its answers.
                with suppress(BrokenPipeError):
                    os.write(member.process.stdin.fileno(), order.encode() + b"\n")

    def hear(self, answer: str, roles: Iterable[str] | None = None) -> None:
        """Wait until each has given `answer`. Raises RoleLost if one that is needed ends."""
        wanted = set(self.members if roles is None else roles)
        while missing := {
            role for role in wanted & set(self.members) if answer not in self.members[role].said
        }:
            del missing
            ended = [
                member
                for key, _ in self._selector.select()
                if not (member := self.members[key.data]).listen()
            ]
            lost = [self._take_off(member) for member in ended]
            # If the monitor and another one have ended, the other one is what counts.
            for error in sorted(lost, key=lambda error: error.role != "monitor"):
                if error.role != "monitor":
                    raise error
                self._on_loss(error)
        for role in wanted & set(self.members):
            self.members[role].said.discard(answer)

    def _take_off(self, member: Member) -> RoleLost:
        del self.members[member.role]
        self._forget(member)
        return member.lost()

    def _forget(self, member: Member) -> None:
        self._selector.unregister(member.answers)
        os.close(member.answers)
        assert member.process.stdin is not None
        with suppress(BrokenPipeError):
            member.process.stdin.close()

    def finish(self, role: str) -> None:
        """Let a role end by itself; if it takes too long, end it."""
        member = self.members.get(role)
        if member is None:
            return
        with uninterrupted():
            assert member.process.stdin is not None
            member.process.stdin.close()
            if not member.ends_within(_LAST_FRAME):
                member.process.kill()
            self._take_off(member)

    def dismiss(self) -> None:
        """End all that are left, at once. Whatever they are doing, they hold nothing."""
        with uninterrupted():
            # It may have hidden the cursor, and has nothing to do but to stop.
            self.finish("monitor")
            for member in self.members.values():
                member.process.kill()
            for member in list(self.members.values()):
                self._take_off(member)
            self._selector.close()
