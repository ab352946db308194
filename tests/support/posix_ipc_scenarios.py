"""What to do with semaphores and shared memory of posix_ipc, or of what stands for it."""

from __future__ import annotations

import os
import pathlib
from contextlib import suppress
from typing import Any

from posix_ipc_maker import NO_INTEGERS, NO_NAMES, NO_TIMEOUTS, Maker, Scenario, attempts

# ---- Semaphores ------------------------------------------------------------------------


def sem_counts(m: Maker) -> Any:
    sem = m.new_sem(2)
    values = [sem.value]
    for call in (sem.acquire, sem.acquire, sem.release):
        assert call() is None
        values.append(sem.value)
    return values


def sem_closed(m: Maker) -> Any:
    sem = m.new_sem(1)
    sem.close()
    uses = [sem.acquire, sem.release, sem.close, sem.unlink, sem.__enter__, sem.__exit__]
    found = [attempts(lambda _, use=use: use(), 0) for use in uses]
    return found + attempts(lambda _: sem.value, 0) + [sem.name, sem.mode, str(sem), repr(sem)]


def sem_names(m: Maker) -> Any:
    wrong = [*NO_NAMES, 5, 1.5, bytearray(b"/x"), pathlib.Path("/x"), b"/x-not-there"]
    return attempts(m.sem, *wrong) + attempts(lambda name: m.sem(name, m.O_CREX), *NO_NAMES)


def sem_values(m: Maker) -> Any:
    def create(value: Any) -> Any:
        sem = m.new_sem(value)
        sem.unlink()
        return sem.value

    values = [-1, 0, 3, 2**31 - 1, 2**31, 2**32 - 1, True, *NO_INTEGERS]
    return attempts(create, *values)


def sem_modes(m: Maker) -> Any:
    def create(mode: Any) -> Any:
        sem = m.sem(m.name, m.O_CREX, mode)
        sem.unlink()
        return sem.mode, repr(sem)

    return attempts(create, -1, 0, 0o644, 0o10000, 2**31 - 1, 2**31, 10**30, *NO_INTEGERS)


def sem_flags(m: Maker) -> Any:
    m.new_sem()
    flags = [0, m.O_CREAT, m.O_CREX, m.O_EXCL, m.O_TRUNC, 1, 2**31, -(2**31) - 1, *NO_INTEGERS]
    return attempts(lambda flag: repr(m.sem(m.name, flag)), *flags)


def sem_timeouts(m: Maker) -> Any:
    return attempts(m.new_sem().acquire, 0, 0.0, -0.0, False, 0.001, 1e-10, *NO_TIMEOUTS)


def sem_long_timeouts(m: Maker) -> Any:
    sem = m.new_sem(10)
    return attempts(sem.acquire, None, 1, 2**31, 2**62, 1e18, True, 3.5), sem.value


def sem_context(m: Maker) -> Any:
    sem = m.new_sem(1)
    with sem as entered:
        values = [entered is sem, sem.value]
    with suppress(KeyError), sem:
        raise KeyError
    return values, sem.value, sem.__exit__(), sem.__exit__(1, 2, 3), sem.value


def sem_overflow(m: Maker) -> Any:
    sem = m.new_sem(m.SEMAPHORE_VALUE_MAX)
    return attempts(lambda _: sem.release(), 0), sem.value


def sem_unlinked(m: Maker) -> Any:
    sem = m.new_sem(1)
    return attempts(lambda _: sem.unlink(), 0, 0), attempts(m.sem, m.name), sem.value


def sem_reopened(m: Maker) -> Any:
    sem = m.new_sem(1)
    sem.__init__(m.name, 0, 0o644)
    state = [sem.mode, sem.value]
    return state, attempts(sem.__init__, m.name + "-not-there"), attempts(sem.acquire, 0)


def names_without_a_name(m: Maker) -> Any:
    kinds = (m.sem, m.shm, m.mq)
    flags = (0, m.O_CREAT, m.O_EXCL)
    return [attempts(lambda flag, kind=kind: kind(None, flag), *flags) for kind in kinds]


def random_names(m: Maker) -> Any:
    found = []
    for kind in (m.sem, m.shm, m.mq):
        made = kind(None, m.O_CREX)
        text = made.name
        found.append((text[0], text[1:].isalpha(), str(made) == text, made.unlink()))
    return found


def names_as_bytes(m: Maker) -> Any:
    return [kind(m.name.encode(), m.O_CREX).name for kind in (m.sem, m.shm, m.mq)]


def names_beyond_ascii(m: Maker) -> Any:
    m.name += "-é中"
    return [(kind(m.name, m.O_CREX).name, kind(m.name).name) for kind in (m.sem, m.shm, m.mq)]


def keywords(m: Maker) -> Any:
    return [
        repr(m.sem(name=m.name, flags=m.O_CREX, mode=0o640, initial_value=3)),
        repr(m.shm(name=m.name, flags=m.O_CREX, mode=0o640, size=9, read_only=False)),
        repr(
            m.mq(name=m.name, flags=m.O_CREX, mode=0o640, max_messages=2, max_message_size=9,
                 read=True, write=False)
        ),
    ]  # fmt: skip


def unlink_functions(m: Maker) -> Any:
    wrong = ["/x-not-there", "x-not-there", *NO_NAMES, "/a\0b", "/\udc80", None, 5, b"/x", 1.5]
    found = []
    for unlink in (m.unlink_semaphore, m.unlink_shared_memory, m.unlink_message_queue):
        found.append(attempts(unlink, *wrong))
    m.new_sem(), m.new_shm(), m.new_mq()
    for unlink in (m.unlink_semaphore, m.unlink_shared_memory, m.unlink_message_queue):
        found.append(attempts(unlink, m.name, m.name))
    return found


# ---- Shared memory ---------------------------------------------------------------------


def shm_names(m: Maker) -> Any:
    wrong = [*NO_NAMES, 5, bytearray(b"/x"), pathlib.Path("/x"), b"/x-not-there", "/.", "/.."]
    return attempts(m.shm, *wrong) + attempts(lambda name: m.shm(name, m.O_CREX), *NO_NAMES, "/.")


def shm_sizes(m: Maker) -> Any:
    def create(size: Any) -> Any:
        made = m.new_shm(size)
        made.unlink()
        return made.size, os.fstat(made.fd).st_size

    found = attempts(create, 0, 1, 5000, 2**40, 2**63 - 1, -1, 2**63, 2**64 - 1, True)
    # None has been left behind by those that failed.
    return found, attempts(m.shm, m.name)


def shm_flags(m: Maker) -> Any:
    m.new_shm(100)
    flags = [0, m.O_CREAT, m.O_CREX, m.O_EXCL, m.O_RDWR, m.O_NONBLOCK, 2**31, -1, *NO_INTEGERS]
    return attempts(lambda flag: m.shm(m.name, flag).size, *flags)


def shm_modes(m: Maker) -> Any:
    def create(mode: Any) -> Any:
        made = m.shm(m.name, m.O_CREX, mode)
        made.unlink()
        return made.mode, repr(made)

    return attempts(create, -1, 0, 0o644, 2**31 - 1, 2**31, *NO_INTEGERS)


def shm_sizes_again(m: Maker) -> Any:
    first = m.new_shm(5000)
    sizes = [m.shm(m.name, size=size).size for size in (0, 100, 8192)]
    return sizes, m.shm(m.name, m.O_TRUNC).size, first.size


def shm_read_only(m: Maker) -> Any:
    m.new_shm(100)
    made = [m.shm(m.name, read_only=value) for value in (True, 1, False, 0, 2)]
    wrong = attempts(lambda value: m.shm(m.name, read_only=value), *NO_INTEGERS, 2**40)
    return [os.get_blocking(each.fd) for each in made], [_writes(e.fd) for e in made], wrong


def _writes(fd: int) -> bool:
    with suppress(OSError):
        return os.pwrite(fd, b"x", 0) == 1
    return False


def shm_new_read_only_with_size(m: Maker) -> Any:
    created = attempts(lambda flags: m.shm(m.name, flags, size=100, read_only=True), m.O_CREX)
    return created, attempts(m.shm, m.name)


def shm_descriptor(m: Maker) -> Any:
    made = m.new_shm(10)
    open_ = [made.fd == made.fileno(), made.fd > 2, os.get_inheritable(made.fd)]
    closed = attempts(lambda _: made.close_fd(), 0, 0)
    return open_, closed, made.fd, made.fileno(), attempts(lambda _: made.size, 0), repr(made)


def shm_descriptor_closed_by_others(m: Maker) -> Any:
    made = m.new_shm(10)
    fd = made.fd
    os.close(fd)
    m.forget(made)
    return attempts(lambda _: made.size, 0), attempts(lambda _: made.close_fd(), 0), made.fd == fd


def shm_unlinked(m: Maker) -> Any:
    made = m.new_shm(10)
    return attempts(lambda _: made.unlink(), 0, 0), made.size, attempts(m.shm, m.name)


def shm_reopened(m: Maker) -> Any:
    made = m.new_shm(10)
    os.close(made.fd)
    m.forget(made)
    return attempts(made.__init__, m.name + "-not-there"), made.fd, made.name == m.name


SCENARIOS: list[Scenario] = [
    value
    for name, value in list(globals().items())
    if name.split("_")[0] in {"sem", "shm", "names", "random", "keywords", "unlink"}
]
