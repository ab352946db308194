"""Messages in the values of signals, and processes that signals are sent to.

A value has as many bytes as a pointer. The lowest says how many of the others are the message, from
the next one on; what is left is zero. Beyond that it is one of the notes that channels send
each other: HELLO, with the signal by which the sender wants to be answered; BYE; and NUDGE, from a
process to itself, which says nothing.
"""

from __future__ import annotations

import errno
import os
import select
import struct

from isthmus._core import signals
from isthmus.channel import _signal_number
from isthmus.channel._errors import NotListeningError
from isthmus.errors import AccessError

#: Bytes of the largest message.
LARGEST = signals.VALUE_SIZE - 1
HELLO, BYE, NUDGE = NOTES = 0xFF, 0xFE, 0xFD
#: How a signal came: by sigqueue(3), or a thread of this process was sent a probe.
SI_QUEUE, SI_TKILL = -1, -6
# struct signalfd_siginfo: code, pid, uid and value of 128 bytes.
_INFO = struct.Struct("8xiII28xQ72x")
# More than a `status` of /proc has before it comes to the signals, but for users in many groups.
_STATUS = 65536
# For lack of which nothing is known about a process.
_SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def packed(data: memoryview | bytes) -> int:
    """A message as a value."""
    return len(data) | int.from_bytes(data, "little") << 8


def unpacked(value: int) -> bytes | None:
    """The message in a value; None: it is none."""
    size, rest = value & 0xFF, value >> 8
    if size > LARGEST or rest >> (8 * size):
        return None
    return rest.to_bytes(size, "little")


def read(descriptor: int) -> tuple[int, int, int, int] | None:
    """The next signal: how it came, pid and uid of who sent it, as that says, and its value."""
    try:
        info = os.read(descriptor, _INFO.size)
    except BlockingIOError:
        return None
    code, pid, uid, value = _INFO.unpack(info)
    return code, pid, uid, value


class Target:
    """A process, by descriptors that mean this very one, also when its pid is given to another."""

    def __init__(self, pid: int, number: int) -> None:
        """ProcessLookupError: there is none."""
        self.pid, self.number = pid, number
        try:
            self.descriptor = os.pidfd_open(pid)
        except OSError as error:
            if error.errno in _SHORT:
                raise
            # Or it is the number of a thread.
            raise ProcessLookupError(error.errno, error.strerror) from None
        self._death = select.poll()
        self._death.register(self.descriptor, select.POLLIN)
        try:
            self._status = os.open(f"/proc/{pid}/status", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            self._status = -1
            self.close()
            if error.errno in _SHORT:
                raise
            raise ProcessLookupError(error.errno, error.strerror) from None
        self.uid = os.fstat(self._status).st_uid
        # The second was opened by the number: if the first still lives, it is the same.
        if self.dead:
            self.close()
            raise ProcessLookupError

    @property
    def dead(self) -> bool:
        """Also when nobody has waited for it: then it still has a pid, and a `status` as before."""
        return bool(self._death.poll(0))

    def listens(self) -> bool:
        """Whether the signal is handled or blocked there; else it would end the process.

        One that has been left by `isthmus.channel` is blocked, and ignored.
        """
        try:
            status = os.pread(self._status, _STATUS, 0)
        except ProcessLookupError:
            return False
        bit = _signal_number.bit(self.number)
        if _signal_number.mask(status, b"SigCgt") & bit:
            return True
        blocked = _signal_number.mask(status, b"SigBlk") & bit
        return bool(blocked and not _signal_number.mask(status, b"SigIgn") & bit)

    def send(self, value: int) -> bool:
        """Send it; False: no room just now. NotListeningError: nothing is sent."""
        if self.dead or not self.listens():
            raise NotListeningError(
                f"process {self.pid} does not listen for {_signal_number.name_of(self.number)}, "
                "which would end it, or has ended; nothing was sent",
                name=str(self.pid),
            )
        try:
            signals.send(self.descriptor, self.number, value)
        except BlockingIOError:
            return False
        except ProcessLookupError:
            raise NotListeningError(f"process {self.pid} has ended", name=str(self.pid)) from None
        except PermissionError:
            raise AccessError(
                f"process {self.pid} belongs to a user to whom this one may not send signals",
                name=str(self.pid),
            ) from None
        return True

    def note(self, value: int) -> None:
        """Send it if that can be done at once, and somebody is there."""
        try:
            self.send(value)
        except (NotListeningError, AccessError):
            pass

    def close(self) -> None:
        for descriptor in (self.descriptor, self._status):
            if descriptor >= 0:
                os.close(descriptor)
        self.descriptor = self._status = -1
