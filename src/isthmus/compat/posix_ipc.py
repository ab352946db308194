"""In place of the package posix_ipc: its names, its behaviour, the same objects of the kernel.

    >>> from isthmus.compat import posix_ipc
    >>> semaphore = posix_ipc.Semaphore(None, posix_ipc.O_CREX, initial_value=1)
    >>> with semaphore:
    ...     semaphore.value
    0
    >>> semaphore.unlink()

Programs with the package itself at the other end work together with this one.
"""

from __future__ import annotations

from isthmus._core import posix_ipc as _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

__all__ = [
    "MESSAGE_QUEUES_SUPPORTED",
    "O_CREAT",
    "O_CREX",
    "O_EXCL",
    "O_NONBLOCK",
    "O_RDONLY",
    "O_RDWR",
    "O_TRUNC",
    "O_WRONLY",
    "PAGE_SIZE",
    "QUEUE_MESSAGES_MAX_DEFAULT",
    "QUEUE_MESSAGE_SIZE_MAX_DEFAULT",
    "QUEUE_PRIORITY_MAX",
    "SEMAPHORE_TIMEOUT_SUPPORTED",
    "SEMAPHORE_VALUE_MAX",
    "SEMAPHORE_VALUE_SUPPORTED",
    "USER_SIGNAL_MAX",
    "USER_SIGNAL_MIN",
    "VERSION",
    "BusyError",
    "Error",
    "ExistentialError",
    "MessageQueue",
    "PermissionsError",
    "Semaphore",
    "SharedMemory",
    "SignalError",
    "unlink_message_queue",
    "unlink_semaphore",
    "unlink_shared_memory",
]

#: The version of posix_ipc whose interface this is, for programs that ask.
VERSION: Final = "1.3.2"
__version__: Final = VERSION
__author__: Final = "The isthmus authors"
__copyright__: Final = "Copyright 2026 The isthmus authors"
__license__: Final = "MIT"

# The documentation is with them.
Semaphore = _core.Semaphore
SharedMemory = _core.SharedMemory
MessageQueue = _core.MessageQueue
Error = _core.Error
SignalError = _core.SignalError
PermissionsError = _core.PermissionsError
ExistentialError = _core.ExistentialError
BusyError = _core.BusyError
unlink_semaphore = _core.unlink_semaphore
unlink_shared_memory = _core.unlink_shared_memory
unlink_message_queue = _core.unlink_message_queue

# ---- flags -------------------------------------------------------------------------

#: Create it if it does not exist.
O_CREAT: Final = _core.O_CREAT
#: With O_CREAT: ExistentialError if it exists.
O_EXCL: Final = _core.O_EXCL
#: Both.
O_CREX: Final = _core.O_CREX
#: SharedMemory: make an existing segment empty; who has it mapped gets SIGBUS.
O_TRUNC: Final = _core.O_TRUNC
#: MessageQueue: `block` is False from the start.
O_NONBLOCK: Final = _core.O_NONBLOCK
#: What `read_only`, `read` and `write` add to the flags; giving them has no use.
O_RDONLY: Final = _core.O_RDONLY
#: The same.
O_WRONLY: Final = _core.O_WRONLY
#: The same.
O_RDWR: Final = _core.O_RDWR

# ---- Limits and what there is ------------------------------------------------------

#: The bytes of a page of memory.
PAGE_SIZE: Final = _core.PAGE_SIZE
#: acquire() takes a timeout.
SEMAPHORE_TIMEOUT_SUPPORTED: Final = True
#: Semaphores have a `value`.
SEMAPHORE_VALUE_SUPPORTED: Final = True
#: The largest value of a semaphore.
SEMAPHORE_VALUE_MAX: Final = _core.SEMAPHORE_VALUE_MAX
#: There is a MessageQueue. A kernel can be without: opening one is then an OSError (ENOSYS).
MESSAGE_QUEUES_SUPPORTED: Final = True
#: How many messages a new queue holds, unless `max_messages` says otherwise.
QUEUE_MESSAGES_MAX_DEFAULT: Final = 10
#: How many bytes a message may have, unless `max_message_size` says otherwise.
QUEUE_MESSAGE_SIZE_MAX_DEFAULT: Final = 8192
#: The highest priority of a message.
QUEUE_PRIORITY_MAX: Final = _core.QUEUE_PRIORITY_MAX
#: The first of the signals that are left to programs.
USER_SIGNAL_MIN: Final = _core.USER_SIGNAL_MIN
#: The last of them.
USER_SIGNAL_MAX: Final = _core.USER_SIGNAL_MAX
