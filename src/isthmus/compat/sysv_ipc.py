"""The package sysv_ipc: semaphores, shared memory and message queues of System V.

Change the import, keep the program::

    from isthmus.compat import sysv_ipc       # import sysv_ipc

The objects are the system's own, so that programs with sysv_ipc, or in C, can be on the
other end.
"""

from __future__ import annotations

from isthmus._core.sysv_ipc import (
    IPC_CREAT,
    IPC_CREX,
    IPC_EXCL,
    IPC_PRIVATE,
    KEY_MAX,
    KEY_MIN,
    PAGE_SIZE,
    SEMAPHORE_VALUE_MAX,
    SHM_HUGETLB,
    SHM_NORESERVE,
    SHM_RDONLY,
    SHM_REMAP,
    SHM_RND,
    BusyError,
    Error,
    ExistentialError,
    InternalError,
    MessageQueue,
    NotAttachedError,
    PermissionsError,
    Semaphore,
    SharedMemory,
    attach,
    ftok,
    remove_message_queue,
    remove_semaphore,
    remove_shared_memory,
)

__all__ = [
    "IPC_CREAT",
    "IPC_CREX",
    "IPC_EXCL",
    "IPC_PRIVATE",
    "KEY_MAX",
    "KEY_MIN",
    "PAGE_SIZE",
    "SEMAPHORE_TIMEOUT_SUPPORTED",
    "SEMAPHORE_VALUE_MAX",
    "SHM_HUGETLB",
    "SHM_NORESERVE",
    "SHM_RDONLY",
    "SHM_REMAP",
    "SHM_RND",
    "VERSION",
    "BusyError",
    "Error",
    "ExistentialError",
    "InternalError",
    "MessageQueue",
    "NotAttachedError",
    "PermissionsError",
    "Semaphore",
    "SharedMemory",
    "attach",
    "ftok",
    "remove_message_queue",
    "remove_semaphore",
    "remove_shared_memory",
]

#: Timeouts always work here.
SEMAPHORE_TIMEOUT_SUPPORTED = True
#: The version of sysv_ipc whose interface this is.
VERSION = "1.2.0"

__version__ = VERSION
__author__ = "The isthmus authors"
__copyright__ = "Copyright (c) 2026 The isthmus authors"
__license__ = "MIT"
