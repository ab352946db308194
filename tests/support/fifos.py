"""For the tests of the drop-in for faster-fifo: both packages, and work for other processes."""

from __future__ import annotations

import queue
from typing import Any

import faster_fifo as original
import pytest

from isthmus.compat import faster_fifo as ours

# Seconds in which all that a test waits for has happened long ago.
LONG = 30.0
both = pytest.mark.parametrize("module", [ours, original], ids=["ours", "original"])


def plain(module: Any, **options: Any) -> Any:
    """A queue of bytes as they are, so that their sizes are known."""
    return module.Queue(loads=bytes, dumps=bytes, **options)


def echo(inbox: Any, outbox: Any) -> None:
    """Send back what comes, until the other one has closed the queue and it is empty."""
    while True:
        try:
            messages = inbox.get_many(timeout=0.02, max_messages_to_get=10)
        except queue.Empty:
            if inbox.is_closed():
                return
        else:
            outbox.put_many(messages)
