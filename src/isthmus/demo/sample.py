"""The classic sample: a parent, a child, one page of shared memory, one number."""

from __future__ import annotations

import mmap
import os
import signal
import struct

from isthmus import Segment
from isthmus.demo.crew import uninterrupted
from isthmus.demo.errors import DemoError, ending
from isthmus.errors import ExistsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

VALUE = 0xDBEEBEE
_UNSIGNED_LONG = struct.calcsize("L")


def run(name: str, tell: Callable[[str, str], None], output: Callable[[str], None]) -> None:
    """Do it, and `tell` each step: a verb, and what has been done and why.

    `output` gets the sample's own line. Raises DemoError if `name` is taken or the child is
    killed. Whatever happens, the segment is removed.
    """
    segment: Segment | None = None
    try:
        with uninterrupted():
            segment = _create(name)
        tell("create", f"{name!r}: {segment.size} bytes that everybody may read and write")
        # The child, a copy of this process, has the same mapping.
        memory = segment.buf[:_UNSIGNED_LONG].cast("L")
        tell("map", "the segment is part of this process's memory now")
        pid = _fork(memory)
        tell("fork", f"process {pid} is a copy of this one, and shares the segment")
        _reap(pid)
        tell("wait", "the child has stored a number at the start of the segment, and ended")
        output(f"child wrote {memory[0]:#x}")
        memory.release()
        segment.close()
        tell("unmap", "the memory is not part of this process any more; the name remains")
    finally:
        if segment is not None:
            segment.unlink()
    tell("unlink", "the name is gone, and with it the memory: nobody uses it any more")


def _create(name: str) -> Segment:
    try:
        return Segment.create(name, mmap.PAGESIZE, mode=0o666)
    except ExistsError:
        raise DemoError(
            f"the name {name!r} is taken by somebody's shared memory, which was left alone; "
            f"choose another one (--name), or remove it if nobody needs it: "
            f"rm /dev/shm/{name.removeprefix('/')}",
            name=name,
        ) from None


def _fork(memory: memoryview) -> int:
    # A fork copies no threads; there are none, or their locks would be held for ever there.
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            memory[0] = VALUE
            status = 0
        finally:
            # Not through the parent's `finally`: cleaning up is its business.
            os._exit(status)
    return pid


def _reap(pid: int) -> None:
    try:
        _, status = os.waitpid(pid, 0)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    code = os.waitstatus_to_exitcode(status)
    if code:
        raise DemoError(f"the child (process {pid}) {ending(code, None)}; nothing is left behind")
