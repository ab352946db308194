"""Another process that has something, until it is killed or told to end."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Self

PATIENCE = 60.0


class Other:
    """A forked child that has done `work` when this is there, and keeps what came of it.

    It ends, in whatever way the test does: its pipe is closed then.
    """

    def __init__(self, work: Callable[[], object]) -> None:
        ready, tell = os.pipe()
        wait, self._end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.close(ready)
                os.close(self._end)
                kept = work()
                os.write(tell, b"!")
                os.read(wait, 1)
                del kept
                code = 0
            finally:
                os._exit(code)
        os.close(tell)
        os.close(wait)
        self._ended = False
        done = os.read(ready, 1)
        os.close(ready)
        if done != b"!":
            self.kill()
            raise RuntimeError("the other process could not do its work")
        # So that no test hangs: the child is ours until it is waited for.
        self._watch = threading.Timer(PATIENCE, self._too_long)
        self._watch.daemon = True
        self._watch.start()

    def _too_long(self) -> None:
        if not self._ended:
            os.kill(self.pid, signal.SIGKILL)

    def kill(self) -> None:
        """As if by the out-of-memory killer; back when the process is gone."""
        if not self._ended:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self._ended = True
            os.close(self._end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.cancel()
        self.kill()
