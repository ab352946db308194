"""Numbers for monitoring, by the conventions of Prometheus and OpenMetrics.

Names are as a query has them: counters end in ``_total``, base units are bytes and seconds. What
there is stands in tables, so that it can be told before anything is measured.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import isthmus
from isthmus.inspect._model import Info, SharedObject
from isthmus.inspect._objects import Sight, Watch
from isthmus.inspect.looking._observed import DIRECTORY

#: "counter": only grows, from the making of the object on; "gauge": goes up and down; "info": 1,
#: what it tells is in the labels.
MetricType = Literal["counter", "gauge", "info"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One number of a metric."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """Numbers of one meaning, of all objects that have it."""

    #: As a query has it: ``isthmus_queue_put_total``.
    name: str
    type: MetricType
    #: One sentence.
    help: str
    #: "bytes", "seconds", or "": a plain number.
    unit: str = ""
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True)
class _Entry:
    """A metric that is one of the numbers of `Info`."""

    name: str
    type: MetricType
    key: str
    help: str
    unit: str = ""


def _counter(name: str, key: str, help: str, unit: str = "") -> _Entry:
    return _Entry(name, "counter", key, help, unit)


def _gauge(name: str, key: str, help: str, unit: str = "") -> _Entry:
    return _Entry(name, "gauge", key, help, unit)


def _ring(kind: str) -> tuple[_Entry, ...]:
    return (
        _gauge(
            f"isthmus_{kind}_capacity_bytes",
            "capacity_bytes",
            "Room for messages, their headers included.",
            "bytes",
        ),
        _gauge(f"isthmus_{kind}_used_bytes", "used_bytes", "Room that is taken.", "bytes"),
        _counter(
            f"isthmus_{kind}_written_bytes_total",
            "bytes",
            "Bytes of messages that were written, their headers included.",
            "bytes",
        ),
    )


_DEATHS = "owner_deaths", "Owners that died holding the lock."

#: By kind of object: which of its numbers go where.
_TABLE: dict[str, tuple[_Entry, ...]] = {
    "queue": (
        _gauge("isthmus_queue_messages_ready", "ready", "Messages that wait to be got."),
        _gauge("isthmus_queue_messages_leased", "leased", "Messages that are being worked on."),
        _gauge("isthmus_queue_messages_aside", "aside", "Messages set aside, to be looked at."),
        _counter("isthmus_queue_put_total", "put", "Messages that were put."),
        _counter("isthmus_queue_done_total", "done", "Messages that were got or acknowledged."),
        _counter(
            "isthmus_queue_redelivered_total",
            "redelivered",
            "Messages that went back to ready: given back, or their worker died.",
        ),
        _counter(
            "isthmus_queue_set_aside_total",
            "set_aside",
            "Messages set aside, having been delivered too often.",
        ),
        _gauge("isthmus_queue_shut_down", "shut_down", "1 after shutdown(), else 0."),
        *_ring("queue"),
    ),
    "topic": (
        _gauge("isthmus_topic_messages_kept", "kept", "Messages that a late subscriber can have."),
        _gauge("isthmus_topic_subscribers", "subscribers", "Subscribers that are there."),
        _gauge("isthmus_topic_publishers", "publishers", "Publishers that are there."),
        _gauge(
            "isthmus_topic_lag_messages", "lag", "Messages that the slowest subscriber is behind."
        ),
        _counter("isthmus_topic_published_total", "published", "Messages that were published."),
        _counter(
            "isthmus_topic_evicted_total", "evicted", "Subscribers that were taken out: dead ones."
        ),
        *_ring("topic"),
    ),
    "lock": (_counter("isthmus_lock_owner_deaths_total", *_DEATHS),),
    "rlock": (_counter("isthmus_lock_owner_deaths_total", *_DEATHS),),
    "array": (_counter("isthmus_lock_owner_deaths_total", *_DEATHS),),
    "condition": (
        _counter("isthmus_lock_owner_deaths_total", *_DEATHS),
        _counter("isthmus_condition_waits_total", "waits", "Waits that were begun."),
    ),
    "rwlock": (
        _counter("isthmus_lock_owner_deaths_total", *_DEATHS),
        _gauge("isthmus_rwlock_readers", "readers", "How often it is held for reading."),
    ),
    "semaphore": (_gauge("isthmus_semaphore_permits", "permits", "Permits that are free."),),
    "event": (
        _gauge("isthmus_event_set", "set", "1 while it is set, else 0."),
        _counter("isthmus_event_sets_total", "sets", "How often it was set."),
    ),
    "barrier": (
        _gauge("isthmus_barrier_arrived", "arrived", "Those that wait for the others."),
        _gauge("isthmus_barrier_broken", "broken", "1 while it is broken, else 0."),
        _counter("isthmus_barrier_rounds_total", "rounds", "Times that all arrived, or it broke."),
        _counter("isthmus_barrier_breaks_total", "breaks", "Times that it broke."),
    ),
    "atomic int": (_gauge("isthmus_atomic_int_value", "value", "The number in it."),),
}
# Of every kind.
_WAITING = _gauge("isthmus_object_waiting", "waiting", "Threads that wait for something of it.")

#: What is told of every object, and of the machine: name, type, help, unit.
_GENERAL: tuple[tuple[str, MetricType, str, str], ...] = (
    ("isthmus_build_info", "info", "The version of isthmus that looked.", ""),
    ("isthmus_object_info", "info", "An object of isthmus, whose it is, and its mode.", ""),
    ("isthmus_object_size_bytes", "gauge", "Bytes of its file.", "bytes"),
    ("isthmus_object_resident_bytes", "gauge", "Bytes that take room in memory.", "bytes"),
    (
        "isthmus_object_created_timestamp_seconds",
        "gauge",
        "When it was made, in seconds since 1970.",
        "seconds",
    ),
    (
        "isthmus_object_participants",
        "gauge",
        "Handles that are open (state alive), and those of the dead not cleaned up after (dead).",
        "",
    ),
    (_WAITING.name, _WAITING.type, _WAITING.help, _WAITING.unit),
    (
        "isthmus_object_problems",
        "gauge",
        "Problems that were found: of severity damage, warning or note.",
        "",
    ),
    ("isthmus_object_in_use", "gauge", "1 while somebody has it open, else 0.", ""),
    ("isthmus_lock_held", "gauge", "1 while somebody holds the lock, else 0.", ""),
    (
        "isthmus_lock_held_seconds",
        "gauge",
        "How long its present owner has held the lock; 0 while it is free.",
        "seconds",
    ),
    (
        "isthmus_lock_abandoned",
        "gauge",
        "1 when the last owner died holding the lock and nobody took it since, else 0.",
        "",
    ),
    (
        "isthmus_queue_lease_age_seconds",
        "gauge",
        "How long ago the worker that has been longest at a message took its last lease.",
        "seconds",
    ),
    (
        "isthmus_topic_subscriber_lag_messages",
        "gauge",
        "Messages that a subscriber is behind.",
        "",
    ),
    (
        "isthmus_topic_subscriber_missed_total",
        "counter",
        "Messages that were overwritten before a subscriber had read them.",
        "",
    ),
    ("isthmus_foreign_objects", "gauge", "Objects of other libraries and programs.", ""),
    ("isthmus_foreign_size_bytes", "gauge", "Bytes of those objects.", "bytes"),
    ("isthmus_foreign_resident_bytes", "gauge", "Bytes of them that take room.", "bytes"),
    ("isthmus_foreign_unused_bytes", "gauge", "Bytes of those of them that nobody has.", "bytes"),
    ("isthmus_shm_size_bytes", "gauge", "Bytes that /dev/shm can hold.", "bytes"),
    ("isthmus_shm_used_bytes", "gauge", "Bytes of /dev/shm that are taken.", "bytes"),
    ("isthmus_scrape_duration_seconds", "gauge", "How long it took to look.", "seconds"),
)
# Locks that are held for a moment only, and always, tell nothing.
_LASTING = frozenset(["lock", "writer"])


@dataclass(slots=True)
class _Board:
    """Samples by metric. Two of the same labels would make a whole scrape invalid."""

    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = field(default_factory=dict)

    def put(self, name: str, value: float, /, **labels: object) -> None:
        key = tuple((label, _text(str(said))) for label, said in labels.items())
        self.found.setdefault(name, {}).setdefault(key, float(value))

    def add(self, name: str, value: float, /, **labels: object) -> None:
        """To what is there already."""
        key = tuple((label, _text(str(said))) for label, said in labels.items())
        samples = self.found.setdefault(name, {})
        samples[key] = samples.get(key, 0.0) + value


def _text(said: str) -> str:
    """As UTF-8 can have it: names of files can be any bytes."""
    return said.encode("utf-8", "backslashreplace").decode()


def known() -> Iterator[Metric]:
    """All metrics that there can be, without samples."""
    for name, type_, help_, unit in _GENERAL:
        yield Metric(name=name, type=type_, help=help_, unit=unit)
    entries = {entry.name: entry for row in _TABLE.values() for entry in row}
    for entry in entries.values():
        yield Metric(name=entry.name, type=entry.type, help=entry.help, unit=entry.unit)


def metrics(*, foreign: bool = True, subscribers: bool = True) -> list[Metric]:
    """The numbers of all objects at this moment, and of /dev/shm.

    Args:
        foreign: also how many objects of other libraries there are, and how large.
        subscribers: also lag and missed messages of each subscriber, labelled with its pid and
            slot: new labels with every process that subscribes.

    Objects are told apart by the labels ``name`` and ``kind``: as many series as there are objects.
    Where names are made up anew for every run, so are the series. Metrics without samples are left
    out. Reads only, and blocks for nothing.

    >>> import isthmus
    >>> with isthmus.Queue("measured-example") as q:
    ...     q.put("a message")
    ...     found = {metric.name: metric for metric in isthmus.inspect.metrics()}
    >>> [one.value for one in found["isthmus_queue_put_total"].samples
    ...  if one.labels["name"] == "measured-example"]
    [1.0]
    """
    started = time.perf_counter()
    sight = Watch(foreign=foreign).look()
    return measure(sight, room=_room(), started=started, foreign=foreign, subscribers=subscribers)


def measure(
    sight: Sight,
    *,
    room: tuple[int, int] | None = None,
    started: float | None = None,
    foreign: bool = True,
    subscribers: bool = True,
) -> list[Metric]:
    """Metrics of what was seen. `room`: bytes of /dev/shm, and how many of them are taken."""
    board = _Board()
    board.put("isthmus_build_info", 1, version=isthmus.__version__)
    for one in sight.objects:
        if one.ours:
            _general(board, one)
        elif foreign:
            _foreign(board, one)
    for _, seen in sorted(sight.infos.items()):
        _numbers(board, seen)
        _locks(board, seen)
        _members(board, seen, subscribers)
    if room is not None:
        board.put("isthmus_shm_size_bytes", room[0])
        board.put("isthmus_shm_used_bytes", room[1])
    if started is not None:
        board.put("isthmus_scrape_duration_seconds", time.perf_counter() - started)
    return [
        Metric(
            name=metric.name,
            type=metric.type,
            help=metric.help,
            unit=metric.unit,
            samples=tuple(
                Sample(MappingProxyType(dict(labels)), value)
                for labels, value in board.found[metric.name].items()
            ),
        )
        for metric in known()
        if metric.name in board.found
    ]


def _room() -> tuple[int, int] | None:
    try:
        found = os.statvfs(DIRECTORY)
    except OSError:
        return None
    return found.f_blocks * found.f_frsize, (found.f_blocks - found.f_bfree) * found.f_frsize


def _general(board: _Board, one: SharedObject) -> None:
    labels = {"name": one.name, "kind": one.kind}
    board.put("isthmus_object_info", 1, **labels, uid=one.uid, mode=f"{one.mode:04o}")
    board.put("isthmus_object_size_bytes", one.size, **labels)
    if one.resident is not None:
        board.put("isthmus_object_resident_bytes", one.resident, **labels)
    if one.created is not None:
        board.put("isthmus_object_created_timestamp_seconds", one.created, **labels)
    if one.in_use is not None:
        board.put("isthmus_object_in_use", one.in_use, **labels)
    for state, count in (("alive", one.alive), ("dead", one.dead)):
        if count is not None:
            board.put("isthmus_object_participants", count, **labels, state=state)
    for severity in ("damage", "warning", "note"):
        count = sum(problem.severity == severity for problem in one.problems)
        board.put("isthmus_object_problems", count, **labels, severity=severity)


def _foreign(board: _Board, one: SharedObject) -> None:
    labels = {"library": one.library or "unknown", "family": one.family, "kind": one.kind}
    board.add("isthmus_foreign_objects", 1, **labels)
    board.add("isthmus_foreign_size_bytes", one.size, **labels)
    board.add("isthmus_foreign_resident_bytes", one.resident or 0, **labels)
    board.add("isthmus_foreign_unused_bytes", one.size if one.in_use is False else 0, **labels)


def _numbers(board: _Board, seen: Info) -> None:
    labels = {"name": seen.shared.name, "kind": seen.shared.kind}
    for entry in (*_TABLE.get(seen.shared.kind, ()), _WAITING):
        source: Mapping[str, float] = seen.counters if entry.type == "counter" else seen.gauges
        if entry.key in source:
            board.put(entry.name, source[entry.key], **labels)


def _locks(board: _Board, seen: Info) -> None:
    for lock in seen.locks:
        if lock.what not in _LASTING:
            continue
        labels = {"name": seen.shared.name, "kind": seen.shared.kind}
        board.put("isthmus_lock_held", lock.locked, **labels)
        held = 0.0 if not lock.locked or lock.since is None else seen.taken - lock.since
        board.put("isthmus_lock_held_seconds", max(held, 0.0), **labels)
        board.put("isthmus_lock_abandoned", lock.abandoned, **labels)


def _members(board: _Board, seen: Info, subscribers: bool) -> None:
    labels = {"name": seen.shared.name, "kind": seen.shared.kind}
    if seen.shared.kind == "queue":
        # The message itself may be older: this needs no walk over all of them.
        begun = [one.share_since for one in seen.members if one.share and one.share_since]
        age = seen.taken - min(begun) if begun else 0.0
        board.put("isthmus_queue_lease_age_seconds", max(age, 0.0), **labels)
    for one in seen.members if subscribers else ():
        if one.lag is None or not one.alive:
            continue
        each = {**labels, "pid": one.pid, "slot": one.slot}
        board.put("isthmus_topic_subscriber_lag_messages", one.lag, **each)
        board.put("isthmus_topic_subscriber_missed_total", one.missed or 0, **each)
