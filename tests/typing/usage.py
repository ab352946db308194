"""What a type checker must see in a program that uses isthmus: checked by `make check`, not run."""

from __future__ import annotations

import select
import socket
from typing import Any, assert_type

import numpy as np

import isthmus
from isthmus import (
    Array,
    AtomicInt,
    Barrier,
    BoundedSemaphore,
    Condition,
    Event,
    Lease,
    Lock,
    Member,
    Participant,
    Publisher,
    Queue,
    RLock,
    RWLock,
    Segment,
    Semaphore,
    Subscriber,
    Topic,
    aio,
    posix,
    sysv,
)


def segments() -> None:
    with Segment.create("name", "1 MiB", mode=0o640, exist_ok=True, owner="alice") as seg:
        assert_type(seg, Segment)
        assert_type(seg.buf, memoryview)
        assert_type(seg.size, int)
        assert_type(seg.name, str | None)
        assert_type(seg.seals, frozenset[str])
        assert_type(seg.array((2, 3), "f8", offset=64), np.ndarray[Any, Any])
        seg.flush(0, 10, wait=False)
        seg.resize(np.int64(10), shrink=True)
    assert_type(Segment.attach("name", readonly=True, owner=1000, timeout=0.5), Segment)
    assert_type(Segment.anonymous(4096, seals=("shrink", "grow")), Segment)
    assert_type(Segment.map_file("path", size=10, create=True), Segment)
    assert_type(Segment.sysv(5, 4096).id, int)
    with socket.socket() as sock:
        Segment.from_fd(sock.fileno())


class Frames(Segment):
    """Constructors of a subclass give the subclass."""


def subclasses() -> None:
    assert_type(Frames.create("name", 10), Frames)
    with Frames.attach("name") as frames:
        assert_type(frames, Frames)


def arrays() -> None:
    array = Array("name", (1080, 1920, 3), np.uint8)
    assert_type(array.np, np.ndarray[Any, Any])
    assert_type(array.shape, tuple[int, ...])
    assert_type(array.dtype, np.dtype[Any])
    assert_type(array.segment, Segment)
    with array.lock as lock:
        assert_type(lock, RLock)
    assert_type(Array.attach("name", readonly=True), Array)
    assert_type(np.asarray(array).ndim, int)


def locks(seg: Segment) -> None:
    lock = Lock("name", on_owner_death="raise", spin=0, participants=8, persist=True, mode=0o600)
    assert_type(lock.acquire(block=False), bool)
    assert_type(lock.acquire(True, 0.5), bool)
    assert_type(lock.owner, Participant | None)
    assert_type(lock.waiters(), list[Participant])
    assert_type(lock.owner_died, bool)
    with lock as held:
        assert_type(held, Lock)
    assert_type(Lock(segment=seg, offset=64).segment, Segment | None)
    assert_type(Lock.create("name", mode=0o640, owner="alice", group=5), Lock)
    assert_type(RLock.attach("name", open_timeout=2, owner="any"), RLock)
    assert_type(Lock.nbytes(participants=5), int)
    rw = RWLock("name", reader_preference=True, on_owner_death=lambda taken: taken.abandon())
    with rw.read:
        assert_type(rw.write.acquire(timeout=1), bool)
    assert_type(rw.readers(), list[Participant])


def friends(lock: Lock) -> None:
    slots = Semaphore("name", 3, robust=True)
    slots.release(2)
    assert_type(slots.value, int)
    assert_type(BoundedSemaphore.create("name", 2, mode=0o666), BoundedSemaphore)
    assert_type(Event("name").wait(timeout=1), bool)
    condition = Condition("name", lock)
    with condition:
        assert_type(condition.wait(), bool)
        assert_type(condition.wait_for(lambda: 5, timeout=1), int)
        condition.notify(2)
    assert_type(Barrier("name", parties=2, action=print, timeout=3).wait(), int)
    number = AtomicInt("name", 5)
    assert_type(number.add(1), int)
    assert_type(number.compare_exchange(1, 2), bool)
    assert_type(number.wait_while(5, timeout=None), bool)


def topics() -> None:
    with Publisher("name", capacity="16 MiB", overflow="overwrite", participants=4) as pub:
        assert_type(pub, Publisher)
        pub.publish({"any": "object"}, timeout=1)
        pub.publish_many([1, b"2"])
        with pub.loan((3, 4), "f8", order="F", timeout=1) as array:
            assert_type(array, np.ndarray[Any, Any])
        with pub.loan(1000) as memory:
            assert_type(memory, memoryview)
        assert_type(pub.subscriber(start=5), Subscriber)
        assert_type(pub.stats().published, int)
        assert_type(pub.subscribers()[0].lag, int)
    with Subscriber("name", start="oldest", timeout=1, allow_pickle=True) as sub:
        assert_type(sub, Subscriber)
        assert_type(sub.recv_many(3, timeout=None), list[Any])
        assert_type((sub.lag, sub.missed, sub.timeout), tuple[int, int, float | None])
        sub.recv(), sub.recv(1)
        with sub.view(timeout=0.5) as frame:
            frame.sum()
        for value in sub:
            print(value)
        assert_type(sub.publisher(overflow="error"), Publisher)
    assert_type(Publisher.create("name", mode=0o640), Publisher)
    assert_type(Subscriber.attach("name", owner="any"), Subscriber)
    assert_type(Topic("name").publishers(), list[Member])


def waiting(lock: Lock, event: Event, sock: socket.socket) -> None:
    assert_type(isthmus.wait([lock, lock], timeout=1), list[Lock])
    assert_type(lock.fileno(), int)
    assert_type(Queue().writable_fileno(), int)
    for each in (lock, event, Queue(), Subscriber(), Semaphore()):
        select.select([each], [], [])
    things: list[Lock | Event | socket.socket | int] = [lock, event, sock, 3]
    assert_type(isthmus.wait(things), list[Lock | Event | socket.socket | int])
    isthmus.wait((lock, event, sock, 3), timeout=None)


def queues() -> None:
    q = Queue("name", capacity="16 MiB", maxsize=5, max_attempts=3, allow_pickle=False)
    q.put({"any": "object"}, block=True, timeout=0.5)
    q.put_many(iter([b"1", "2"]), timeout=None)
    assert_type(q.get(), Any)
    assert_type(q.get_many(5, timeout=1), list[Any])
    with q.lease(timeout=1) as job:
        assert_type(job, Lease)
        assert_type(job.attempt, int)
    for message in q:
        assert_type(message, Any)
    assert_type(q.join(timeout=1), bool)
    assert_type(q.stats().ready, int)
    assert_type(q.max_attempts, int | None)
    for aside in q.aside():
        aside.put_back(timeout=1)
    assert_type(q.consumers(), list[Member])
    with Queue.create("name", mode=0o640) as created, Queue.attach("name", owner="any"):
        assert_type(created, Queue)
    try:
        q.put(b"", block=False)
    except isthmus.Full as full:
        assert_type(full.done, int)
    except isthmus.MessageTooLargeError as error:
        assert_type(error.capacity, int)


def errors() -> None:
    try:
        Segment.attach("name")
    except isthmus.OwnerDied as died:
        died.lock.release()
    except isthmus.TooManyParticipantsError as full:
        assert_type(full.room, int | None)
    except isthmus.NoSpaceError as error:
        assert_type(error.wanted, int)
        assert_type(error.errno, int | None)
    except FileNotFoundError:
        pass
    except isthmus.IsthmusError as error:
        assert_type(error.name, str | None)


def bare_calls() -> None:
    fd = posix.shm_open("/name", posix.O_CREAT | posix.O_RDWR, 0o600)
    assert_type(fd, int)
    region = posix.mmap(4096, posix.PROT_READ, posix.MAP_SHARED, fd)
    assert_type(region, posix.MappedRegion)
    assert_type(region.buf, memoryview)
    sem = posix.sem_open("/name", posix.O_CREAT, 0o600, 1)
    assert_type(sem, posix.Semaphore)
    posix.sem_wait(sem)
    assert_type(posix.sem_getvalue(sem), int)
    mqd = posix.mq_open("/name", posix.O_RDWR)
    assert_type(posix.mq_receive(mqd), tuple[bytes, int])
    shmid = sysv.shmget(sysv.ftok("/", 1), 4096, sysv.IPC_CREAT | 0o600)
    assert_type(sysv.shmat(shmid), sysv.MappedRegion)
    assert_type(sysv.shmctl(shmid, sysv.IPC_STAT), sysv.ShmidDs)


async def tasks() -> None:
    lock = aio.Lock("name", on_owner_death="raise")
    assert_type(lock, aio.Lock)
    assert_type(await lock.acquire(timeout=1), bool)
    async with lock as same:
        assert_type(same, aio.Lock)
    assert_type(lock.owner, isthmus.Participant | None)
    assert_type(aio.RLock.attach("name"), aio.RLock)
    async with aio.BoundedSemaphore(value=2) as slots:
        assert_type(slots, aio.BoundedSemaphore)
        assert_type(slots.value, int)
    assert_type(await aio.Event().wait(), bool)
    condition = aio.Condition(None, lock)
    async with condition:
        assert_type(await condition.wait(timeout=1), bool)
        assert_type(await condition.wait_for(lambda: "text"), str)
        condition.notify()
    async with aio.Barrier(parties=2) as number:
        assert_type(number, int)
    rw = aio.RWLock()
    async with rw.read as reading, rw.write as writing:
        assert_type(await reading.acquire(), bool)
        assert_type(await writing.acquire(), bool)
