"""Real-time signals with a value: seven bytes at most, queued by the kernel, in order.

Who listens takes a signal (see `_signal_number`), and reads it from a descriptor of the kernel's.
It hears everybody who may signal it, and answers whoever it has heard last; connecting counts as
being heard. Who connects takes a signal as well, for the answers, and says so when it connects: so
answers go to it, and a process may connect several times, also to itself. Then, since a
signal says which process it is from and no more, all its ends share the answers of the last one.

A signal is sent through a descriptor of the process that is meant (pidfd), and so never to another
which has got its pid since. Before, a look into /proc says whether it handles or has blocked the
signal; otherwise nothing is sent, for it would end that process.

- Full: the kernel queues no more than RLIMIT_SIGPENDING for all processes of the receiver's user.
  `send` waits for room then. Nothing tells of it, so it tries again after a pause, which grows up
  to `LAST_PAUSE` seconds.
- Death of the one who listens: who connected gets what came before, and then EndOfChannel, at once.
  Of one who connected: `send` to it raises PeerGoneError; `recv` waits for others.
- A close says BYE to the other side; that is lost if the queue is full just then. `send` notices
  anyhow. What is pending when a channel is closed, or its process dies, is gone.
- A fork: a channel belongs to the process that made it; in the child it can only be closed.
  Ends of a pair are different: see `_signal_pair`.
- Foreign programs: ``kill -RTMIN+1 PID``, and anything else that is no sigqueue, is an empty
  message. sigqueue with another value than ours is a ProtocolError. They get answers by the signal
  that they have sent. A foreign receiver gets a value whose lowest byte is 255 when one connects.
- A process in another container has another pid there, and cannot be answered.

What a death leaves: nothing, at any step; all of it belongs to the process.
"""

from __future__ import annotations

import os
import select
from time import monotonic

from isthmus._core import signals
from isthmus.channel import _signal_number
from isthmus.channel._base import Channel, Listener
from isthmus.channel._errors import (
    EndOfChannel,
    NotListeningError,
    PeerGoneError,
)
from isthmus.channel._forms import Form
from isthmus.channel._patience import pause_for
from isthmus.channel._signal_channel import (
    FIRST_PAUSE,
    LAST_PAUSE,
    SignalChannel,
    nudge,
    say,
)
from isthmus.channel._signal_value import (
    BYE,
    HELLO,
    LARGEST,
    NUDGE,
    Target,
)
from isthmus.channel._sole import SoleListener, Turn
from isthmus.channel._waiting import deadline_of
from isthmus.errors import ArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass

LISTEN = frozenset({"signal"})
CONNECT = frozenset({"signal"})
PAIR: frozenset[str] = frozenset()

# How many are known by the signal that they want to be answered with.
_KNOWN = 64
# Seconds to wait for room to say HELLO, at least.
_PATIENCE = 1.0


# ---- The side that listens -------------------------------------------------------------


class _Place:
    """The signal of one who listens, until it and its channel are closed; and who was heard."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.last: tuple[int, int] | None = None
        # Of pids, the signal that they want to be answered with.
        self.known: dict[int, int] = {}
        self._pid = os.getpid()
        self._users = 1

    def channel(self, url: str, turn: Turn) -> SignalChannel:
        made = SoleSignalChannel(url, self, turn)
        self._users += 1
        return made

    def leave(self) -> None:
        self._users -= 1
        if self._users:
            return
        _signal_number.leave(self.number)
        if self._pid == os.getpid():
            for pid, number in self.known.items():
                say(pid, number, BYE)

    def hello(self, pid: int, number: int) -> None:
        self.known.pop(pid, None)
        if len(self.known) >= _KNOWN:
            del self.known[next(iter(self.known))]
        self.known[pid] = number

    def bye(self, pid: int, number: int) -> None:
        # Another end of the same process may have come since.
        if self.known.get(pid) == number:
            del self.known[pid]


class SoleSignalChannel(SignalChannel):
    """Hears everybody, and answers whoever it has heard last."""

    def __init__(self, url: str, place: _Place, turn: Turn) -> None:
        self._place, self._turn = place, turn
        self._target: Target | None = None
        # Of its own for who sends: event loops know one reader of each descriptor.
        self._somebody = signals.open(place.number)
        try:
            super().__init__(url, place.number)
        except BaseException:
            os.close(self._somebody)
            raise

    @property
    def peer(self) -> str | None:
        last = self._place.last
        return None if last is None else f"pid {last[0]}, uid {last[1]}"

    def _heard(self, pid: int, uid: int, note: int | None, about: int) -> None:
        if note == NUDGE:
            return
        if note == BYE:
            self._place.bye(pid, about)
            return
        if note == HELLO:
            self._place.hello(pid, about)
        if note == HELLO or self._place.last != (pid, uid):
            self._place.last = pid, uid
            self._forget()

    def _forget(self) -> None:
        target, self._target = self._target, None
        if target is not None:
            target.close()

    def _out(self) -> tuple[int, int]:
        # Whoever comes is the one to be answered.
        if self._place.last is None:
            return self._somebody, select.POLLIN
        return super()._out()

    def _try_send(self, message: int) -> bool | None:
        self._own()
        with self._looking:
            if self._place.last is None:
                self._seek()
                if self._place.last is None:
                    return None
            try:
                return self._answer(message)
            except NotListeningError as error:
                # Perhaps somebody else has come meanwhile.
                before = self._place.last
                self._seek()
                if self._place.last != before:
                    return None
                raise PeerGoneError(
                    f"whoever {self!r} has heard last is gone: {error}", name=self._url
                ) from None

    def _answer(self, message: int) -> bool | None:
        assert self._place.last is not None
        pid = self._place.last[0]
        if self._target is None:
            try:
                self._target = Target(pid, self._place.known.get(pid, self._number))
            except ProcessLookupError:
                raise NotListeningError(f"process {pid} has ended", name=self._url) from None
        try:
            return self._target.send(message) or None
        except NotListeningError:
            self._forget()
            raise

    def _seek(self) -> None:
        """Take what there is until a message comes; that is received later."""
        message = self._next()
        if message is not None:
            self._before.append(message)
            # Who waits for it would not wake up, since it is no longer in the queue.
            nudge(self._number)

    def _release(self) -> None:
        super()._release()
        os.close(self._somebody)
        self._forget()
        self._place.leave()
        self._turn.give_back()


# ---- The side that connects ------------------------------------------------------------


class ConnectedSignalChannel(SignalChannel):
    """To one process, and what that answers."""

    def __init__(self, url: str, number: int, target: Target) -> None:
        self._peer, self._over = target, False
        # Readable by signals, or by its death.
        self._watch = select.epoll()
        self._watch.register(target.descriptor, select.EPOLLIN)
        super().__init__(url, number)
        self._watch.register(self._signals, select.EPOLLIN)

    @property
    def peer(self) -> str | None:
        return f"pid {self._peer.pid}, uid {self._peer.uid}"

    def _in(self) -> tuple[int, int]:
        return self._watch.fileno(), select.POLLIN

    def _heard(self, pid: int, uid: int, note: int | None, about: int) -> None:
        if note == BYE and pid == self._peer.pid:
            self._over = True

    def _try_recv(self) -> bytes | None:
        message = super()._try_recv()
        if message is not None or not (self._over or self._peer.dead):
            return message
        # What came in between; nothing comes after that.
        message = super()._try_recv()
        if message is None:
            self._over = True
            # So that the descriptor stays readable until it is closed.
            nudge(self._number)
            raise EndOfChannel(f"the other end of {self!r} is closed", name=self._url)
        return message

    def _try_send(self, message: int) -> bool | None:
        self._own()
        try:
            return self._peer.send(message) or None
        except NotListeningError as error:
            raise PeerGoneError(
                f"nobody receives on {self!r} any more: {error}", name=self._url
            ) from None

    def _release(self) -> None:
        super()._release()
        self._watch.close()
        _signal_number.leave(self._number)
        if self._pid == os.getpid():
            self._peer.note(BYE | self._number << 8)
        self._peer.close()


def _pid_of(where: str) -> int:
    if where in ("", "self"):
        return os.getpid()
    if not where.isdecimal() or len(where) > 10 or not 0 < int(where) < 1 << 31:
        raise ArgumentError(f"{where[:40]!r} is no process; write signal:PID", name=where)
    return int(where)


def _listening(pid: int, number: int, url: str, deadline: float | None) -> Target:
    """The process, once it listens."""
    try:
        target = Target(pid, number)
    except ProcessLookupError:
        raise NotListeningError(f"{url}: there is no process {pid}", name=url) from None
    pause = FIRST_PAUSE
    try:
        while not target.listens():
            left = pause if deadline is None else deadline - monotonic()
            if left <= 0 or target.dead:
                raise NotListeningError(
                    f"{url}: process {pid} does not listen for this signal, which would end it; "
                    "start to listen there first, or wait for that with timeout=",
                    name=url,
                )
            pause_for(min(pause, left))
            pause = min(2 * pause, LAST_PAUSE)
    except BaseException:
        target.close()
        raise
    return target


def _greet(target: Target, mine: int, url: str, deadline: float | None) -> None:
    """Say HELLO, and wait for room to do so."""
    patience = monotonic() + _PATIENCE
    end = patience if deadline is None else max(deadline, patience)
    pause = FIRST_PAUSE
    while not target.send(HELLO | mine << 8):
        if monotonic() > end:
            raise NotListeningError(
                f"{url}: its user has as many signals pending as RLIMIT_SIGPENDING allows, and "
                "nobody takes them",
                name=url,
            )
        pause_for(pause)
        pause = min(2 * pause, LAST_PAUSE)


# ---- What the form offers --------------------------------------------------------------


def facts() -> Form:
    return Form(
        name="signal",
        title="real-time signals",
        reach="host",
        joins="any process that may signal it; an answer goes to the last one",
        connections=False,
        notices_death=True,
        random_access=False,
        keeps="while the receiver lives",
        largest=LARGEST,
        order="as sent, by each sender",
        permissions="user of the processes",
        url="signal:PID",
    )


def listen(where: str, signal: str | int | None = None) -> Listener:
    pid = os.getpid()
    if where not in ("", "self", str(pid)):
        raise ArgumentError(
            f"signal:{where[:40]}: a process gets its own signals only; write signal: or {pid}"
        )
    # Kept from the listening on: what comes before it is accepted is not lost.
    place = _Place(_signal_number.take(_signal_number.number_of(signal)))
    url = f"signal:{pid}?signal={_signal_number.name_of(place.number)}"
    return SoleListener(url, lambda turn: place.channel(url, turn), place.leave)


def connect(where: str, timeout: float | None, signal: str | int | None = None) -> Channel:
    wanted = _signal_number.number_of(signal)
    number = _signal_number.USUAL if wanted is None else wanted
    pid = _pid_of(where)
    url = f"signal:{pid}?signal={_signal_number.name_of(number)}"
    deadline = deadline_of(timeout)
    target = _listening(pid, number, url, deadline)
    try:
        mine = _signal_number.take(None, number)
    except BaseException:
        target.close()
        raise
    try:
        _greet(target, mine, url, deadline)
        return ConnectedSignalChannel(url, mine, target)
    except BaseException:
        target.close()
        _signal_number.leave(mine)
        raise


def pair() -> tuple[Channel, Channel]:
    from isthmus.channel import _signal_pair

    return _signal_pair.pair()
