"""Messages between processes, over any form of interprocess communication, by one interface.

`listen` makes a `Listener` whose `accept` gives a `Channel`; `connect` gives the other end of it;
`pair` gives both at once, for a parent and its child. What they go over is said by the URL:

====================  ==================================================================
``shm:NAME``          shared memory: the rings of this library
``unix:PATH``         a Unix stream socket; ``unix:@NAME`` has no file
``seqpacket:PATH``    a Unix socket whose messages the kernel keeps apart
``tcp:HOST:PORT``     TCP over IPv4 and IPv6
``fifo:PATH``         named pipes
``pipe:R,W``          descriptors of pipes that were inherited; else by `pair`
``file:PATH``         a log that everybody appends to
``mq:/NAME``          POSIX message queues
``sysv:KEY``          System V message queues
``signal:PID``        real-time signals with a value
====================  ==================================================================

`forms` tells what each can do, and the guide which one suits what. `isthmus.aio.channel` has the
same for asyncio.

>>> from isthmus import channel
>>> with channel.listen("unix:@guide-channel") as listener:
...     client = channel.connect("unix:@guide-channel")
...     server = listener.accept(timeout=10)
>>> client.send(b"hello")
>>> server.recv(timeout=10)
b'hello'
>>> client.close()
>>> list(server)
[]
>>> server.close()
"""

from __future__ import annotations

from isthmus._ring_errors import MessageTooLargeError
from isthmus.channel._base import Channel, Listener
from isthmus.channel._errors import (
    AuthenticationError,
    EndOfChannel,
    NotListeningError,
    PeerGoneError,
    ProtocolError,
    TimedOut,
)
from isthmus.channel._forms import Form, connect, forms, listen, pair

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.channel._file import FileChannel as FileChannel
    from isthmus.channel._pipe import PipeChannel as PipeChannel

__all__ = [
    "AuthenticationError",
    "Channel",
    "EndOfChannel",
    "FileChannel",
    "Form",
    "Listener",
    "MessageTooLargeError",
    "NotListeningError",
    "PeerGoneError",
    "PipeChannel",
    "ProtocolError",
    "TimedOut",
    "connect",
    "forms",
    "listen",
    "pair",
]

# Those that can more than others. Each form is loaded when it is first used.
_HOME = {"FileChannel": "_file", "PipeChannel": "_pipe"}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
