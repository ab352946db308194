"""What to do with message queues of posix_ipc, or of what stands for it; and with signals."""

from __future__ import annotations

import array
import os
import pathlib
from collections.abc import Callable
from typing import Any

from bare_calls import signals, stop
from posix_ipc_maker import NO_INTEGERS, NO_NAMES, NO_TIMEOUTS, Maker, Scenario, attempts

STRINGS: list[Any] = ["abc", b"abc", bytearray(b"abc"), memoryview(b"abc"), "", b"", "é中", "a\0b"]


# ---- Message queues --------------------------------------------------------------------


def mq_names(m: Maker) -> Any:
    wrong = ["x", *NO_NAMES, 5, bytearray(b"/x"), pathlib.Path("/x"), b"/x-not-there", "/."]
    return attempts(m.mq, *wrong) + attempts(
        lambda name: m.mq(name, m.O_CREX), "x", *NO_NAMES, "/."
    )


def mq_limits(m: Maker) -> Any:
    def create(**limits: Any) -> Any:
        made = m.mq(m.name, m.O_CREX, **limits)
        made.unlink()
        return made.max_messages, made.max_message_size, repr(made)

    values = [-1, 0, 1, 10, 2**30, 2**62, 2**63, -(2**63) - 1, True, *NO_INTEGERS]
    return attempts(lambda value: create(max_messages=value), *values), attempts(
        lambda value: create(max_message_size=value), *values, 8192
    )


def mq_modes(m: Maker) -> Any:
    def create(mode: Any) -> Any:
        made = m.mq(m.name, m.O_CREX, mode)
        made.unlink()
        return made.mode, repr(made)

    return attempts(create, -1, 0, 0o644, 2**31 - 1, 2**31, *NO_INTEGERS)


def mq_flags(m: Maker) -> Any:
    m.new_mq()
    flags = [0, m.O_CREAT, m.O_CREX, m.O_EXCL, m.O_NONBLOCK, m.O_WRONLY, *NO_INTEGERS]
    return attempts(lambda flag: (made := m.mq(m.name, flag)) and (repr(made), made.block), *flags)


def mq_ends(m: Maker) -> Any:
    m.new_mq()
    values = [0, 1, True, False, 2, "", "x", None, []]
    found = attempts(lambda value: repr(m.mq(m.name, read=value)), *values)
    found += attempts(lambda value: repr(m.mq(m.name, write=value)), *values)
    found += attempts(lambda value: m.mq(m.name, read=value, write=value), False)
    reader, writer = m.mq(m.name, write=False), m.mq(m.name, read=False)
    found += attempts(reader.send, "a", "a" * 50) + attempts(writer.receive, None, 0, "x", -1)
    return found + attempts(lambda priority: reader.send("a", 0, priority), -1, "x")


def mq_messages(m: Maker) -> Any:
    queue = m.new_mq()

    def through(message: Any) -> Any:
        queue.send(message, 0)
        return queue.receive(0)

    texts = [
        *STRINGS,
        array.array("i", [1, 2]),
        "x" * 20,
        "x" * 21,
        b"x" * 21,
        "é" * 11,
        b"x" * 9000,
    ]
    return attempts(through, *texts), queue.current_messages


def mq_priorities(m: Maker) -> Any:
    queue = m.new_mq()

    def through(priority: Any) -> Any:
        queue.send(b"p", 0, priority)
        return queue.receive(0)

    values = [0, 1, 32767, 32768, -1, 2**31, 2**32, 2**32 + 5, 2**70, True, *NO_INTEGERS]
    found = attempts(through, *values)
    for number in (1, 3, 2):
        queue.send(str(number), priority=number)
    return found, [queue.receive() for _ in range(3)]


def mq_order_of_errors(m: Maker) -> Any:
    queue = m.new_mq()
    calls: list[tuple[Any, ...]] = [
        ("x" * 30, -1, -1), ("x" * 30, 0, -1), ("a", -1, "x"), ("a", 0, -1),
    ]  # fmt: skip
    return attempts(lambda arguments: queue.send(*arguments), *calls)


def mq_timeouts(m: Maker) -> Any:
    queue = m.new_mq()
    found = attempts(queue.receive, 0, 0.0, False, 0.001, 1e-12, *NO_TIMEOUTS)
    for _ in range(3):
        queue.send("x", 2**33)
    found += attempts(lambda timeout: queue.send("y", timeout), 0, 0.0, False, 0.001, *NO_TIMEOUTS)
    return found, queue.receive(2**33), queue.receive(1e9), queue.receive(None)


def mq_without_waiting(m: Maker) -> Any:
    queue = m.new_mq()
    queue.block = False
    found = attempts(queue.receive, None, 0, 100)
    for _ in range(3):
        queue.send("x")
    return found, attempts(lambda timeout: queue.send("y", timeout), None, 0, 100)


def mq_block(m: Maker) -> Any:
    queue = m.new_mq()
    states = []
    for value in (False, True, 0, 1, "", "x", None, [], 2):
        queue.block = value
        states.append(queue.block)
    return states, m.mq(m.name, m.O_NONBLOCK).block, m.mq(m.name).block


def mq_attributes(m: Maker) -> Any:
    queue = m.new_mq()
    queue.send("a")
    facts = [queue.current_messages, queue.max_messages, queue.max_message_size, queue.mode]
    return [*facts, str(queue), repr(queue), queue.mqd == queue.fileno(), queue.mqd > 2,
            os.get_inheritable(queue.mqd)]  # fmt: skip


QUEUE_USES: list[Callable[[Any], Any]] = [
    lambda queue: queue.send("a"),
    lambda queue: queue.send("a" * 50),
    lambda queue: queue.send("a", -1),
    lambda queue: queue.receive(),
    lambda queue: queue.receive(0),
    lambda queue: queue.block,
    lambda queue: setattr(queue, "block", False),
    lambda queue: queue.request_notification(),
    lambda queue: queue.request_notification(34),
    lambda queue: queue.request_notification((print, 1)),
    lambda queue: queue.request_notification("x"),
    lambda queue: queue.current_messages,
    lambda queue: queue.close(),
    lambda queue: (queue.mqd, queue.fileno()),
]


def mq_closed(m: Maker) -> Any:
    queue = m.new_mq()
    queue.close()
    found = [attempts(use, queue) for use in QUEUE_USES]
    return found, queue.unlink(), attempts(lambda _: queue.unlink(), 0), repr(queue)


def mq_descriptor_closed_by_others(m: Maker) -> Any:
    m.new_mq()
    found = []
    for use in QUEUE_USES[:-1]:
        queue = m.mq(m.name)
        os.close(queue.mqd)
        m.forget(queue)
        found.append(attempts(use, queue))
    return found


def mq_reopened(m: Maker) -> Any:
    queue = m.new_mq()
    os.close(queue.mqd)
    m.forget(queue)
    return attempts(queue.__init__, m.name + "-not-there"), queue.mqd, repr(queue)


def mq_notifications(m: Maker) -> Any:
    queue = m.new_mq()
    numbers = [0, 10, 34, 64, True, 65, -1, 2**31, 2**70]
    wrong = ["x", 1.5, (), (1,), (1, 2), (print,), (print, 1, 2), [print, 1], ("x", 1), print]
    found = attempts(queue.request_notification, *numbers, *wrong, (print, 1), (print, 2), None)
    return found, attempts(m.mq(m.name).request_notification, 34, None)


# ---- Signals ---------------------------------------------------------------------------


def interrupted_waits(m: Maker) -> Any:
    sem, queue, full = m.new_sem(), m.new_mq(), m.mq(m.name + "2", m.O_CREX, max_messages=1)
    full.send("x")
    full.unlink()
    waits: list[Callable[[], Any]] = [
        sem.acquire, lambda: sem.acquire(1000), sem.__enter__, queue.receive,
        lambda: queue.receive(1000), lambda: full.send("x"), lambda: full.send("x", 1000),
    ]  # fmt: skip
    found = []
    for handler in (lambda _count: None, stop):
        for wait in waits:
            with signals(handler):
                found.append(attempts(lambda _, wait=wait: wait(), 0))
    return found, sem.value, queue.current_messages, full.current_messages


def key_interrupts(m: Maker) -> Any:
    class Key(KeyboardInterrupt):
        pass

    def press(_count: int) -> None:
        raise Key

    sem, queue = m.new_sem(), m.new_mq()
    found = []
    for wait in (sem.acquire, lambda: sem.acquire(1000), queue.receive):
        try:
            with signals(press):
                wait()
        except Key:
            found.append("Key")
    return found


SCENARIOS: list[Scenario] = [
    value
    for name, value in list(globals().items())
    if name.split("_")[0] in {"mq", "interrupted", "key"}
]
