"""Descriptors of awaitable handles: as those of others."""

from __future__ import annotations

import select

from tasks import run

from isthmus import aio


def readable(descriptor: int) -> bool:
    """As it is at this moment, without asking the handle."""
    return bool(select.select([descriptor], [], [], 0)[0])


def test_awaitable_handles_have_descriptors_too() -> None:
    async def main() -> None:
        async with aio.Queue(maxsize=1) as q, aio.Publisher() as pub:
            messages, room = q.fileno(), q.writable_fileno()
            await q.put("message")
            assert (readable(messages), readable(room)) == (True, False)
            assert await q.get() == "message"
            assert (readable(messages), readable(room)) == (False, True)
            async with pub.subscriber() as sub:
                descriptor = sub.fileno()
                await pub.publish(b"1")
                assert readable(descriptor)
                assert await sub.recv() == b"1"
                assert not readable(descriptor)

    run(main())
