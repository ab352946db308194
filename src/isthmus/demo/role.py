"""What the three roles have in common: how they join, start, and notice that they are alone.

The supervisor gives orders on standard input: ``join`` when the names are there, then the
kind of work, as often as there is a transfer to do. Its end of that pipe closes when it has had
enough, or when it dies: this is the lifeline. Answers (``ready``, ``joined``, ``done``,
``failed …``) go to another pipe; its end tells the supervisor that the role has died.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import sys

from isthmus.demo.errors import DemoError, Orphaned, PeerLost
from isthmus.demo.transfer import Transfer, Turns, unlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


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

    def answer(self, text: str) -> None:
        try:
            os.write(self.options.answers_fd, text.encode() + b"\n")
        except BrokenPipeError:
            raise Orphaned from None

    def serve(
        self,
        run: Callable[[Transfer, Turns | None, str], None],
        *,
        readonly: bool = False,
    ) -> None:
        """Join the session and `run` as often as ordered. Ends the process."""
        # The supervisor blocks signals while it starts us, and that is inherited. SIGINT stays
        # blocked: Ctrl-C is the supervisor's business, which then ends us.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGHUP})
        try:
            self._serve(run, readonly)
        except Orphaned:
            sys.exit(0)
        except PeerLost:
            # Who died is for the supervisor to find out; it would be misled by our end.
            self._await_end()
        except (DemoError, OSError) as error:
            text = error.strerror if isinstance(error, OSError) and error.strerror else error
            self.answer(f"failed {text}")
            sys.exit(1)

    def _serve(self, run: Callable[[Transfer, Turns | None, str], None], readonly: bool) -> None:
        session = self.options.session
        self.answer("ready")
        try:
            self.lifeline.order()
            transfer = Transfer.attach(session, readonly=readonly)
            turns = None if readonly else Turns(session)
            self.answer("joined")
            order = self.lifeline.order()
        except Orphaned:
            # The supervisor may have died between giving names and removing them.
            unlink(session)
            raise
        while True:
            run(transfer, turns, order)
            self.answer("done")
            order = self.lifeline.order()

    def _await_end(self) -> None:
        try:
            while True:
                self.lifeline.order()
        except Orphaned:
            sys.exit(0)
