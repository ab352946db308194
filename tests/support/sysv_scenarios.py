"""What programs do with sysv_ipc, one function each: `module` is the original or the drop-in.

A scenario makes its objects with `key` only, and gives what it has seen: results, or types and
words of exceptions.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable
from typing import Any

Scenario = Callable[[Any, int], list[object]]


def tried(call: Callable[[], object]) -> object:
    """The result, or what was raised; without what differs from run to run."""
    try:
        return call()
    except Exception as error:
        words = [re.sub(r"\bid \d+", "id N", str(word)) for word in error.args]
        return type(error).__name__, words


def changes(target: object, name: str, *values: object) -> list[object]:
    """Set an attribute to each of these, and read it."""
    seen: list[object] = []
    for value in values:
        seen.append(tried(lambda value=value: setattr(target, name, value)))  # type: ignore[misc]
        seen.append(getattr(target, name))
    return seen


# ---- Semaphores --------------------------------------------------------------------


def semaphores_are_opened_and_made(m: Any, key: int) -> list[object]:
    opened = m.Semaphore
    made = opened(key, m.IPC_CREX, 0o640, 3)
    kept = opened(key, m.IPC_CREAT, initial_value=made.value)
    private = opened(m.IPC_PRIVATE, m.IPC_CREX, 0o400, 7)
    seen = [made.key, made.mode, made.value, kept.id == made.id, kept.value, repr(made)]
    seen += [str(made) == f"Key={key}, id={made.id}", private.key, private.value, private.mode]
    seen += [tried(lambda: opened(key, m.IPC_CREX)), tried(lambda: opened(key).id == made.id)]
    seen += [opened(key + 2**32).id == made.id, opened(key - 2**32).key]
    private.remove()
    made.remove()
    refused: list[tuple[Any, ...]] = [
        (key,), ("x",), (1.5,), (None,), (2**70,), (-(2**70),), (None, m.IPC_CREAT),
        (key, m.IPC_EXCL), (key, 2**40), (key, "x"), (key, 0, 1.5), (key, 0, 0, None),
    ]  # fmt: skip
    return seen + [tried(lambda given=given: opened(*given)) for given in refused]


def semaphores_are_acquired_and_released(m: Any, key: int) -> list[object]:
    semaphore = m.Semaphore(key, m.IPC_CREX, initial_value=5)
    seen: list[object] = []
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
        ("acquire", (), {}), ("P", (None,), {}), ("acquire", (None, 2), {}), ("V", (), {}),
        ("acquire", (1.5,), {}), ("acquire", (), {"delta": -1}), ("release", (), {"delta": 2}),
        ("release", (-3,), {}), ("V", (2,), {}), ("P", (True,), {}), ("P", (0,), {}),
        ("acquire", (-1,), {}), ("acquire", ("x",), {}), ("acquire", (2**64,), {}),
        ("acquire", (None, 0), {}), ("acquire", (None, 32768), {}), ("P", (None, 1.5), {}),
        ("acquire", (None, -32769), {}), ("release", (0,), {}), ("release", (32767,), {}),
        ("release", (32768,), {}), ("release", ("x",), {}), ("Z", (-1,), {}), ("Z", ("x",), {}),
    ]  # fmt: skip
    for name, given, named in calls:
        method = getattr(semaphore, name)
        seen += [tried(lambda m=method, g=given, n=named: m(*g, **n)), semaphore.value]
    semaphore.value = 0
    seen += [semaphore.Z(), semaphore.Z(timeout=None)]
    semaphore.block = False
    seen += [tried(semaphore.P), tried(semaphore.__enter__), semaphore.__exit__(), semaphore.value]
    with semaphore as entered:
        seen += [entered is semaphore, semaphore.value]
    seen += [semaphore.value, tried(semaphore.Z)]
    return seen


def attributes_of_semaphores(m: Any, key: int) -> list[object]:
    semaphore = m.Semaphore(key, m.IPC_CREX, initial_value=3)
    seen: list[object] = [semaphore.o_time, semaphore.undo, semaphore.block]
    seen += [semaphore.cuid, semaphore.cgid, semaphore.last_pid == os.getpid()]
    seen += [semaphore.waiting_for_zero, semaphore.waiting_for_nonzero]
    seen += changes(semaphore, "value", 1.5, "x", None, 2**31, 2**70, -1, True, 40000, 32767)
    seen += changes(semaphore, "undo", True, 0, "x", None, [])
    seen += changes(semaphore, "block", False, 1, "", None, 2.5)
    for name in ("mode", "uid", "gid"):
        seen += changes(semaphore, name, 1.5, "x", None, 0o644, True)
    semaphore.value = 1
    semaphore.V()
    return [*seen, semaphore.o_time > 0]


def a_removed_semaphore_is_gone(m: Any, key: int) -> list[object]:
    semaphore = m.Semaphore(key, m.IPC_CREX)
    number = semaphore.id
    calls: list[Callable[[], object]] = [
        semaphore.remove, semaphore.remove, semaphore.P, semaphore.V, semaphore.Z,
        lambda: semaphore.value, lambda: semaphore.mode, lambda: semaphore.o_time,
        lambda: setattr(semaphore, "value", 1), lambda: setattr(semaphore, "uid", 0),
        lambda: m.remove_semaphore(number), lambda: m.remove_semaphore(-1),
        lambda: m.remove_semaphore("x"), lambda: m.remove_semaphore(2**40),
    ]  # fmt: skip
    seen = [tried(call) for call in calls]
    again = m.Semaphore(key, m.IPC_CREX)
    return [*seen, m.remove_semaphore(again.id), tried(lambda: again.value)]


# ---- Shared memory -----------------------------------------------------------------


def memory_is_opened_and_made(m: Any, key: int) -> list[object]:
    opened = m.SharedMemory
    made = opened(key, m.IPC_CREX, 0o640, 10, b".")
    again = opened(key)
    seen = [made.key, made.mode, made.size, made.read(), repr(made), again.id == made.id]
    seen += [str(made) == f"Key={key}, id={made.id}", made.attached, made.number_attached]
    seen += [made.address != again.address, opened(key, size=5).size]
    reader = opened(key, 0, 0o400)
    seen += [reader.attached, reader.read(2), tried(lambda: reader.write(b"a"))]
    seen += [tried(lambda: opened(key, size=11)), tried(lambda: opened(key, size=-1))]
    seen += [tried(lambda: opened(key, m.IPC_CREX)), opened(key, m.IPC_CREAT).read(1)]
    made.remove()
    for memory in (made, again, reader):
        memory.detach()
    refused: list[tuple[Any, ...]] = [
        (key + 1,), ("x",), (None,), (key, m.IPC_EXCL), (key, 2**40), (key, m.IPC_CREAT),
        (m.IPC_PRIVATE,), (key, m.IPC_CREX, 0o600, 1, "x"), (key, m.IPC_CREX, 0o600, 1, b"xy"),
        (key, m.IPC_CREX, 0o600, 1, 5), (key, m.IPC_CREX, 0o600, 1, None),
        (key, m.IPC_CREX, 0o600, 2**62),
    ]  # fmt: skip
    return seen + [tried(lambda given=given: opened(*given)) for given in refused]


def memory_of_the_default_size_is_a_page_of_spaces(m: Any, key: int) -> list[object]:
    memory = m.SharedMemory(key, m.IPC_CREX | 0o777, 0o7600, init_character=bytearray(b"x"))
    private = m.SharedMemory(m.IPC_PRIVATE, m.IPC_CREAT, size=5, init_character=b"x")
    seen = [memory.size == m.PAGE_SIZE, set(memory.read()), memory.mode]
    seen += [private.read(), private.key]
    private.remove()
    return seen


def memory_is_read_and_written(m: Any, key: int) -> list[object]:
    memory = m.SharedMemory(key, m.IPC_CREX, size=10)
    write, read = memory.write, memory.read
    calls: list[Callable[[], object]] = [
        lambda: write(b"abc"), lambda: write("d\u00e9", 3), lambda: write(bytearray(b"zz"), 8),
        lambda: write(b"zzz", 8), lambda: write(b"", 10), lambda: write(b"", 11),
        lambda: write(s=b"q", offset=1), lambda: write(b"a", -1), lambda: write(b"q" * 11),
        read, lambda: read(3), lambda: read(3, 8), lambda: read(0, 4),
        lambda: read(offset=2, byte_count=1), lambda: read(1, True), lambda: read(3, 10),
        lambda: read(-1), lambda: read(1, -1), lambda: read(2**63), lambda: read("a"),
        lambda: read(1.5), lambda: bytes(memory),
    ]  # fmt: skip
    seen = [tried(call) for call in calls]
    view = memoryview(memory)
    view[0] = 65
    seen += [view.nbytes, view.format, view.readonly, view.obj is memory, view.shape, read(2)]
    view.release()
    return seen


def memory_is_attached_and_detached(m: Any, key: int) -> list[object]:
    memory = m.SharedMemory(key, m.IPC_CREX, size=10)
    address = memory.address
    seen: list[object] = [memory.detach(), memory.attached, memory.address, memory.number_attached]
    calls: list[Callable[[], object]] = [
        memory.read, lambda: memory.write(b"a"), memory.detach,
        lambda: memory.attach("x"), lambda: memory.attach(1.5), lambda: memory.attach(-5),
        lambda: memory.attach(3), lambda: memory.attach(None, 2**40),
        lambda: memory.attach(None, "x"), lambda: memory.attach(flags=m.SHM_RDONLY),
    ]  # fmt: skip
    seen += [tried(call) for call in calls]
    seen += [memory.attached, memory.read(2), tried(lambda: memory.write(b"a")), memory.detach()]
    # Even detached it is what it was.
    seen += [tried(lambda: memory.write(b"a")), tried(memory.read)]
    seen += [memory.attach(address), memory.address == address, memory.write(b"a"), memory.detach()]
    seen += [memory.attach(address + 1, m.SHM_RND), memory.address == address]
    return [*seen, memory.last_detach_time > 0, memory.detach()]


def memory_is_attached_by_its_id(m: Any, key: int) -> list[object]:
    memory = m.SharedMemory(key, m.IPC_CREX, size=10)
    number = memory.id
    other = m.attach(number)
    other.write(b"hey")
    reader = m.attach(id=number, address=None, flags=m.SHM_RDONLY)
    seen = [other.id == number, other.attached, other.size, memory.read(4), reader.read(3)]
    seen += [tried(lambda: reader.write(b"a")), tried(lambda: m.attach("x")), reader.detach()]
    seen += [tried(lambda: m.attach(2**40)), tried(lambda: m.attach(number, "x"))]
    seen += [memory.detach(), other.detach(), memory.remove(), tried(lambda: m.attach(number))]
    return seen


def attributes_of_memory(m: Any, key: int) -> list[object]:
    memory = m.SharedMemory(key, m.IPC_CREX)
    seen: list[object] = [memory.last_attach_time > 0, memory.last_detach_time]
    seen += [memory.last_change_time > 0, memory.creator_pid == memory.last_pid == os.getpid()]
    seen += [memory.cuid, memory.cgid]
    for name in ("mode", "uid", "gid"):
        seen += changes(memory, name, 1.5, "x", None, 0o644, True)
    return seen


def removed_memory_stays_while_it_is_attached(m: Any, key: int) -> list[object]:
    memory = m.SharedMemory(key, m.IPC_CREX)
    number = memory.id
    seen = [memory.remove(), memory.remove(), memory.size, memory.read(2), memory.mode]
    seen += [memory.number_attached, memory.detach(), memory.attached]
    calls: list[Callable[[], object]] = [
        lambda: memory.size, lambda: memory.number_attached, memory.remove, memory.attach,
        lambda: setattr(memory, "mode", 0o600), memory.read,
        lambda: m.remove_shared_memory(number), lambda: m.remove_shared_memory(-1),
        lambda: m.remove_shared_memory("x"),
    ]  # fmt: skip
    return seen + [tried(call) for call in calls]


# ---- Message queues ----------------------------------------------------------------


def queues_are_opened_and_made(m: Any, key: int) -> list[object]:
    opened = m.MessageQueue
    made = opened(key, m.IPC_CREX, 0o7640)
    private = opened(m.IPC_PRIVATE)
    seen = [made.key, made.mode, repr(made), str(made) == f"Key={key}, id={made.id}"]
    seen += [opened(key).id == made.id, opened(key, m.IPC_CREAT).id == made.id, private.key]
    private.remove()
    refused: list[tuple[Any, ...]] = [
        (key, m.IPC_CREX), (key + 1,), ("x",), (None,), (key, m.IPC_EXCL), (key, 2**40),
        (key, 0, 0o600, -1), (key, 0, 0o600, 2**63),
    ]  # fmt: skip
    return seen + [tried(lambda given=given: opened(*given)) for given in refused]


def messages_are_sent_and_received(m: Any, key: int) -> list[object]:
    queue = m.MessageQueue(key, m.IPC_CREX)
    send, receive = queue.send, queue.receive
    calls: list[Callable[[], object]] = [
        lambda: receive(False), lambda: receive(0, 1), lambda: receive(block=False, type=-1),
        lambda: receive(False, -(2**31)), lambda: receive(False, 2**31), lambda: receive(0, 1.5),
        lambda: send(b"abc"), lambda: send("d\u00e9", True, 3), lambda: send(bytearray(b"z"), 1, 2),
        lambda: send(b"", type=7), lambda: send(message=b"a\0b", block=False, type=5),
        lambda: send(b"a", True, 0), lambda: send(b"a", True, -1), lambda: send(b"a", True, 2**31),
        lambda: send(b"a" * 2049), lambda: send(b"a" * 2048), lambda: queue.current_messages,
        receive, lambda: receive(type=2), lambda: receive(True, -3),
        lambda: receive(True, 7), receive, receive, lambda: receive(False),
    ]  # fmt: skip
    seen = [tried(call) for call in calls]
    seen += [queue.last_send_pid == queue.last_receive_pid == os.getpid()]
    return [*seen, queue.last_send_time > 0, queue.last_receive_time > 0]


def a_queue_can_be_full(m: Any, key: int) -> list[object]:
    queue = m.MessageQueue(key, m.IPC_CREX, max_message_size=20000)
    small = m.MessageQueue(key, max_message_size=10)
    queue.max_size = 3000
    seen: list[object] = [queue.send(b"x" * 2900), tried(lambda: queue.send(b"x" * 101, False))]
    seen += [queue.send(b"x" * 100, block=False), tried(lambda: queue.send(b"x", block=0))]
    seen += [tried(lambda: small.send(b"x" * 11)), tried(lambda: small.receive(False))]
    seen += [tried(lambda: queue.send(b"x" * 19000)), len(queue.receive()[0])]
    seen += [queue.receive(), queue.current_messages]
    return seen


def attributes_of_queues(m: Any, key: int) -> list[object]:
    queue = m.MessageQueue(key, m.IPC_CREX)
    seen: list[object] = [queue.last_send_time, queue.last_receive_time, queue.last_send_pid]
    seen += [queue.last_receive_pid, queue.last_change_time > 0, queue.cuid, queue.cgid]
    for name in ("mode", "uid", "gid", "max_size"):
        seen += changes(queue, name, 1.5, "x", None, 0o644, True)
    return seen


def a_removed_queue_is_gone(m: Any, key: int) -> list[object]:
    queue = m.MessageQueue(key, m.IPC_CREX)
    number = queue.id
    calls: list[Callable[[], object]] = [
        queue.remove, queue.remove, lambda: queue.send(b"a"), queue.receive,
        lambda: queue.max_size, lambda: queue.current_messages,
        lambda: setattr(queue, "max_size", 1), lambda: setattr(queue, "mode", 1),
        lambda: m.remove_message_queue(number), lambda: m.remove_message_queue("x"),
    ]  # fmt: skip
    return [tried(call) for call in calls]


# ---- The rest ----------------------------------------------------------------------


def objects_without_a_constructor(m: Any, _key: int) -> list[object]:
    seen: list[object] = []
    for kind in (m.Semaphore, m.SharedMemory, m.MessageQueue):
        blank = kind.__new__(kind)
        seen += [blank.key, blank.id, repr(blank)]
    memory = m.SharedMemory.__new__(m.SharedMemory)
    seen += [memory.attached, memory.address, tried(memory.read), tried(memory.detach)]
    return [*seen, tried(lambda: memory.write(b"a"))]


def ftok_warns(m: Any, _key: int) -> list[object]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        seen = [m.ftok("/", 5), m.ftok("/", 5, True), m.ftok("/", 256 + 5, silence_warning=1)]
        seen += [m.ftok(path="/", id=6, silence_warning=True)]
        seen += [tried(lambda: m.ftok("/is-not-there", 5, True)), tried(lambda: m.ftok("/", "x"))]
        seen += [tried(lambda: m.ftok("/", 2**40, True))]
        told = [(w.category, str(w.message), w.filename == __file__) for w in caught]
    return seen + told


def types_of_other_mistakes(m: Any, key: int) -> list[object]:
    """The words of these are those of the compiler that made the module."""
    semaphore = m.Semaphore(key, m.IPC_CREX)
    memory = m.SharedMemory(key, m.IPC_CREX)
    queue = m.MessageQueue(key, m.IPC_CREX)
    calls: list[Callable[[], object]] = [
        m.Semaphore, lambda: m.Semaphore(key, x=1), lambda: m.Semaphore(1, 2, 3, 4, 5),
        lambda: semaphore.acquire(1, 2, 3), lambda: semaphore.release(x=1), lambda: semaphore.x,
        lambda: semaphore.Z(1, 2), m.remove_semaphore, lambda: setattr(semaphore, "x", 1),
        lambda: memory.read(1, 2, 3), lambda: memory.read(1, 1.5), lambda: memory.attach(1, 2, 3),
        lambda: m.SharedMemory(key, size=1.5), lambda: m.SharedMemory(key, size="x"), m.attach,
        lambda: queue.receive(x=1), lambda: m.MessageQueue(key, max_message_size="x"), m.ftok,
        lambda: m.remove_semaphore(id=3), lambda: hash(semaphore) == hash(memory),
    ]  # fmt: skip
    for target in (semaphore, memory, queue):
        for name in ("key", "id", "cuid", "cgid"):
            calls.append(lambda target=target, name=name: setattr(target, name, 1))
    seen = [tried(call) for call in calls]
    return [result[0] if isinstance(result, tuple) else result for result in seen]


SCENARIOS: list[Scenario] = [
    semaphores_are_opened_and_made,
    semaphores_are_acquired_and_released,
    attributes_of_semaphores,
    a_removed_semaphore_is_gone,
    memory_is_opened_and_made,
    memory_of_the_default_size_is_a_page_of_spaces,
    memory_is_read_and_written,
    memory_is_attached_and_detached,
    memory_is_attached_by_its_id,
    attributes_of_memory,
    removed_memory_stays_while_it_is_attached,
    queues_are_opened_and_made,
    messages_are_sent_and_received,
    a_queue_can_be_full,
    attributes_of_queues,
    a_removed_queue_is_gone,
    objects_without_a_constructor,
    ftok_warns,
    types_of_other_mistakes,
]
