"""For the tests of `isthmus.channel`: places of every form, and what each form can do."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from isthmus import channel, posix, sysv
from isthmus.channel import Channel

NAMES = ("file", "pipe", "fifo", "signal", "shm", "unix", "seqpacket", "tcp", "mq", "sysv")
FORMS = {form.name: form for form in channel.forms()}
#: Those that others can find.
NAMED = tuple(name for name in NAMES if name != "pipe")
#: Those where the end of the other side is noticed.
TELLING = tuple(name for name in NAMES if FORMS[name].notices_death)
#: Those where everybody who connects has a channel of its own.
CONNECTING = tuple(name for name in NAMED if FORMS[name].connections)
# Longest that anything here may take; far more than it needs.
PATIENCE = 30.0


@contextlib.contextmanager
def place(form: str, folder: Path) -> Iterator[str]:
    """A URL of this form that nobody else uses; nothing of it may be left in the end."""
    unique = f"test-{os.getpid()}-{os.urandom(6).hex()}"
    url = {
        "file": f"file:{folder}/{unique}",
        "fifo": f"fifo:{folder}/{unique}",
        "signal": "signal:self",
        "shm": f"shm:{unique}",
        "unix": f"unix:{folder}/{unique}",
        "seqpacket": f"seqpacket:{folder}/{unique}",
        "tcp": "tcp:127.0.0.1:0",
        "mq": f"mq:/{unique}",
        "sysv": f"sysv:{random.randrange(1 << 20, 1 << 31):#x}",
    }[form]
    yield url
    left = [path for path in folder.iterdir() if unique in path.name]
    left += [path for path in Path("/dev/shm").iterdir() if unique in path.name]
    if form == "file":
        assert len(left) == 1, left
        left[0].unlink()
        return
    assert left == []
    assert _queues_left(url) == []


def _queues_left(url: str) -> list[str]:
    """Message queues of a place that are there still; they are removed."""
    form, _, where = url.partition(":")
    left = []
    if form == "mq":
        for name in (where, where + ".back"):
            with contextlib.suppress(FileNotFoundError):
                posix.mq_unlink(name)
                left.append(name)
    elif form == "sysv":
        key = int(where, 0)
        for each in (key, key - (1 << 31)):
            with contextlib.suppress(FileNotFoundError):
                sysv.msgctl(sysv.msgget(each), sysv.IPC_RMID)
                left.append(hex(each))
    return left


@contextlib.contextmanager
def ends(form: str, folder: Path) -> Iterator[tuple[Channel, Channel]]:
    """Both ends of a channel: the one that listened, and the one that has connected."""
    if form in ("pipe", "signal"):
        # Of the first there is nothing to listen on; the second takes one process for each end.
        mine, yours = channel.pair(form)
        with mine, yours:
            yield mine, yours
        return
    with (
        place(form, folder) as url,
        channel.listen(url) as listener,
        channel.connect(listener.url, timeout=PATIENCE) as yours,
        listener.accept(PATIENCE) as mine,
    ):
        yield mine, yours


def is_asleep(thread: threading.Thread) -> bool:
    stat = Path(f"/proc/self/task/{thread.native_id}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "S"


def in_thread(work: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Start it; what it returns or raises, in a list, when the thread has ended."""
    result: list[object] = []

    def run() -> None:
        try:
            result.append(work())
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, result


def until_asleep(thread: threading.Thread) -> None:
    """Until it was seen asleep often: it may sleep for a moment on its way to its wait."""
    seen, end = 0, time.monotonic() + PATIENCE
    while seen < 20:
        assert thread.is_alive()
        assert time.monotonic() < end
        seen += is_asleep(thread)
        time.sleep(0.001)


def child(work: Callable[[], object]) -> int:
    """Fork a process that does it and ends, whatever happens; its pid."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        work()
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


def ended(pid: int) -> int:
    """Wait for it; its exit code, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def sizes_for(end: Channel, count: int, most: int) -> list[bytes]:
    """So many messages, all different as far as their sizes allow, some of them empty."""
    chance = random.Random(count)
    most = min(most, end.largest)
    return [chance.randbytes(chance.randrange(most + 1)) for _ in range(count)]


def raw(url: str) -> socket.socket:
    """A plain socket to whoever listens there."""
    form, where = url.split(":", 1)
    if form == "tcp":
        host, port = where.rsplit(":", 1)
        return socket.create_connection((host.strip("[]"), int(port)))
    kind = socket.SOCK_SEQPACKET if form == "seqpacket" else socket.SOCK_STREAM
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.connect(where)
    return sock
