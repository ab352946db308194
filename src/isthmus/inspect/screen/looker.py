"""The thread that looks and acts, so that keys are answered meanwhile.

One thread, not a pool: what it is asked for is done in turn, and a program that ends does not
wait for a look that takes long.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")


class Looker:
    """Does one thing after the other, in a thread of its own."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[
            tuple[Callable[[], Any], asyncio.AbstractEventLoop, asyncio.Future[Any]] | None
        ] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="isthmus-top", daemon=True)
        self._thread.start()

    async def do(self, what: Callable[[], T]) -> T:
        """Its result, or what it raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._work.put((what, loop, future))
        return await future

    def end(self) -> None:
        """Nothing more will come; the thread ends after what it does at the moment."""
        self._work.put(None)

    def _run(self) -> None:
        while (task := self._work.get()) is not None:
            what, loop, future = task
            result, error = None, None
            try:
                result = what()
            except Exception as raised:  # whoever asked is told
                error = raised
            # The loop is closed when the program has ended meanwhile.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_tell, future, result, error)


def _tell(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
