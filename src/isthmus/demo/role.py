"""What the three roles have in common: how they join, start, and notice that they are alone.

The supervisor gives orders on standard input: ``join`` when the names are there, then the
kind of work and the number of the first chunk, as often as there is a transfer to do. Its end of
that pipe closes when it has had enough, or when it dies: this is the lifeline. Answers
(``ready``, ``joined``, ``sent``, ``done``, ``failed``, each with facts as JSON) go to another
pipe; its end tells the supervisor that the role has died.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import sys
from contextlib import suppress

from isthmus.demo.errors import Orphaned, PeerLost
from isthmus.demo.meeting import forsake
from isthmus.errors import IsthmusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")


class Lifeline:
    """The pipe from the supervisor."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        self._received = b""

    def order(self) -> str:
        """The next order; waits for it. Raises Orphaned if none will come any more."""
        while b"\n" not in self._received:
            received = os.read(self.fd, 4096)
            if not received:
                raise Orphaned
            self._received += received
        line, _, self._received = self._received.partition(b"\n")
        return line.decode()

    def pulled(self, seconds: float = 0.0) -> bool:
        """Whether there is an order, or the supervisor is gone; waits at most so long."""
        return bool(self._poll.poll(max(0.0, seconds) * 1000))

    def check(self, seconds: float = 0.0) -> None:
        """Raise Orphaned if the supervisor is gone or wants no more; waits at most so long.

        For use in between, where nothing is due but the end.
        """
        if self.pulled(seconds):
            raise Orphaned


class Role:
    """A role in its own process: arguments, orders and answers.

    Args:
        name: as in the messages of the supervisor.
        options: those that only this role has, for its command line.
    """

    def __init__(self, name: str, *options: str) -> None:
        parser = argparse.ArgumentParser(
            prog=f"python -m isthmus.demo.{name}",
            description=f"The {name} of `isthmus demo`, which starts it.",
        )
        parser.add_argument("--session", required=True, help="what all names begin with")
        parser.add_argument("--answers-fd", type=int, required=True)
        for option in options:
            parser.add_argument(option, type=int)
        self.options = parser.parse_args()
        self.lifeline = Lifeline(sys.stdin.fileno())

    def answer(self, text: str, **facts: object) -> None:
        try:
            os.write(self.options.answers_fd, f"{text} {json.dumps(facts)}\n".encode())
        except BrokenPipeError:
            raise Orphaned from None

    def serve(self, join: Callable[[str], T], run: Callable[[T, str, int], dict[str, int]]) -> None:
        """`join` the session, and `run` as often as ordered. Ends the process."""
        # The supervisor blocks signals while it starts us, and that is inherited. SIGINT stays
        # blocked: Ctrl-C is the supervisor's business, which then ends us.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGHUP})
        try:
            self._serve(join, run)
        except Orphaned:
            sys.exit(0)
        except PeerLost:
            # Who died is for the supervisor to find out; it would be misled by our end.
            self._await_end()
        except (IsthmusError, OSError) as error:
            text = isinstance(error, OSError) and error.strerror
            with suppress(Orphaned):
                self.answer("failed", reason=str(text or error))
            sys.exit(1)

    def _serve(
        self, join: Callable[[str], T], run: Callable[[T, str, int], dict[str, int]]
    ) -> None:
        session = self.options.session
        try:
            self.answer("ready")
            self.lifeline.order()
        except Orphaned:
            # The supervisor may have died between giving names and removing them.
            forsake(session)
            raise
        joined = join(session)
        self.answer("joined")
        while True:
            work, first = self.lifeline.order().split()
            self.answer("done", **run(joined, work, int(first)))

    def _await_end(self) -> None:
        try:
            while True:
                self.lifeline.order()
        except Orphaned:
            sys.exit(0)
