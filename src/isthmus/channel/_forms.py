"""The forms: what each can do, and the functions that take a URL."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from isthmus.channel import _address
from isthmus.errors import ArgumentError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from isthmus.channel._base import Channel, Listener


@dataclass(frozen=True, slots=True)
class Form:
    """What a form of interprocess communication is, and can do, on this machine."""

    #: As in the URL: "shm", "unix", …
    name: str
    #: For people: "shared memory", "Unix socket", …
    title: str
    #: "host" or "network".
    reach: str
    #: Who may join.
    joins: str
    #: Whether each who connects has a channel of its own. Without, all have the same one.
    connections: bool
    #: Whether the death of the other side is noticed.
    notices_death: bool
    #: Whether what was sent can be read in any order, and again.
    random_access: bool
    #: What is kept of that which nobody has received: "nothing", "while it is open", …
    keeps: str
    #: Bytes of the largest message.
    largest: int
    #: In what order messages arrive.
    order: str
    #: What decides who may use it.
    permissions: str
    #: The URL, with words where something is to be put in.
    url: str


# In the order in which they are shown.
_HOME = {
    "file": "_file",
    "pipe": "_pipe",
    "fifo": "_fifo",
    "signal": "_signal",
    "shm": "_shm",
    "unix": "_unix",
    "seqpacket": "_seqpacket",
    "tcp": "_tcp",
    "mq": "_mq",
    "sysv": "_sysv",
}


def _module(form: str) -> Any:
    home = _HOME.get(form)
    if home is None:
        raise ArgumentError(f"there is no form {form[:40]!r}; there are {', '.join(_HOME)}")
    return import_module(f"isthmus.channel.{home}")


def listen(url: str, **options: Any) -> Listener:
    """Be there for others to connect to: a `Listener`.

    Args:
        url: the form and the place: see `isthmus.channel`. Options may stand in it:
            ``"tcp:localhost:0?limit=1 MiB"``.
        mode: permission bits of what has a name (unix, seqpacket, shm, fifo, file, mq, sysv);
            600 unless given.
        key: a secret that both sides must have (unix, seqpacket, tcp), as with
            `multiprocessing.connection`. Only who has it becomes a channel.
        limit: bytes that a message of the other side may have at most (unix, tcp, fifo, pipe,
            shm, file); 256 MiB unless given. A longer one is a ProtocolError.
        keepalive: seconds after which a host that does not answer counts as gone (tcp); 30.
        backlog: how many may have connected before they are accepted (unix, seqpacket, tcp, shm).
        capacity: bytes that may be on their way in each direction (shm).
        spin: microseconds to spin before a wait sleeps (shm).
        messages, size: how many messages may be on their way, of how many bytes at most (mq).
        signal: which real-time signal (signal): "SIGRTMIN+1" or its number.
        start: "start" or "end": where in what is there to begin to read (file).

    Options that a form has not are refused. Does not block.

    Raises:
        InUseError: somebody listens there already. What was left by a process that died is
            taken over. AccessError, NotFoundError (no such directory), ArgumentError.
        UnsupportedError: the form has no name to listen on (pipe).
    """
    form, where, written = _address.split(url)
    module = _module(form)
    if not hasattr(module, "listen"):
        raise UnsupportedError(f"nobody can listen on {url!r}; make both ends by pair({form!r})")
    known = _address.options_of(form, module.LISTEN, written, options)
    made: Listener = module.listen(where, **known)
    return made


def connect(url: str, *, timeout: float | None = 0, **options: Any) -> Channel:
    """The channel to whoever listens at `url`.

    Args:
        url: as for `listen`; on the other side it may be the `url` of the listener.
        timeout: seconds to wait for somebody to listen there, in the forms where that must come
            first: unix, seqpacket, tcp, shm, signal. None: for ever; 0: not at all, but up to
            a second for one who listens and has no room just now, ten for a host that does not
            answer, and five for showing the key. In the others, either side may come first, and
            this returns at once.
        options: as for `listen`; each form takes those that are about its own side.

    Raises:
        NotListeningError: nobody listens there, or nobody did in time.
        AccessError, ArgumentError. AuthenticationError: not the same `key`.
    """
    form, where, written = _address.split(url)
    module = _module(form)
    known = _address.options_of(form, module.CONNECT, written, options)
    made: Channel = module.connect(where, timeout, **known)
    return made


def pair(form: str, **options: Any) -> tuple[Channel, Channel]:
    """Both ends of a channel that has no name, for a process and its child.

    Args:
        form: "pipe", "unix", "shm" or any other. Those that need a name have one that nobody
            else knows, and that is gone when both ends are closed.
        options: as for `listen`.

    A forked child has both ends, too. Each process closes the one that it does not use, else
    it does not notice that the other one has gone. Both can be given to a
    `multiprocessing.Process` as arguments.

    >>> from isthmus import channel
    >>> mine, yours = channel.pair("pipe")
    >>> with mine, yours:
    ...     yours.send("für dich".encode())
    ...     mine.recv().decode()
    'für dich'
    """
    module = _module(form)
    known = _address.options_of(form, module.PAIR, {}, options)
    both: tuple[Channel, Channel] = module.pair(**known)
    return both


def forms() -> tuple[Form, ...]:
    """All forms, and what each can do on this machine."""
    return tuple(_module(name).facts() for name in _HOME)
