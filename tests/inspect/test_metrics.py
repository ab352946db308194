"""The numbers for monitoring: of real and of made-up objects, and as prometheus_client has them."""

from __future__ import annotations

import builtins
import re
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

import isthmus
from isthmus.inspect import Collector, Info, LockState, Member, Metric, SharedObject, Sight, metrics
from isthmus.inspect._metrics import known, measure

NOW = 1_800_000_000.0


def shared(name: str = "x", kind: str = "queue", **more: Any) -> SharedObject:
    values: dict[str, Any] = {
        "family": "isthmus",
        "kind": kind,
        "name": name,
        "address": name,
        "library": "isthmus",
        "path": None,
        "size": 4096,
        "resident": 8192,
        "uid": 7,
        "gid": 7,
        "mode": 0o640,
        "created": NOW - 60,
        "changed": None,
        "alive": 2,
        "dead": 1,
    }
    return SharedObject(**{**values, **more})


def seen(one: SharedObject, **more: Any) -> Info:
    return Info(shared=one, taken=NOW, taken_monotonic=1.0, configuration={}, **more)


def measured(*found: Info | SharedObject, **options: Any) -> dict[str, Metric]:
    infos = {str(i): one for i, one in enumerate(found) if isinstance(one, Info)}
    objects = tuple(one.shared if isinstance(one, Info) else one for one in found)
    sight = Sight(NOW, objects, MappingProxyType(infos))
    return {metric.name: metric for metric in measure(sight, **options)}


def values(metric: Metric, *labels: str) -> dict[tuple[str, ...], float]:
    return {tuple(one.labels[label] for label in labels): one.value for one in metric.samples}


def of(found: list[Metric], name: str) -> dict[str, list[float]]:
    """The numbers of one real object, by metric."""
    return {
        metric.name: mine
        for metric in found
        if (mine := [one.value for one in metric.samples if one.labels.get("name") == name])
    }


# ---- Real objects ---------------------------------------------------------------------


def test_a_queue_tells_what_went_through_it_and_what_is_in_it(name: str) -> None:
    with isthmus.Queue(name, capacity="64 KiB") as queue:
        for number in range(5):
            queue.put(number)
        queue.get()
        with queue.lease():
            found = of(metrics(foreign=False), name)
    assert found["isthmus_queue_put_total"] == [5]
    assert found["isthmus_queue_done_total"] == [1]
    assert found["isthmus_queue_messages_ready"] == [3]
    assert found["isthmus_queue_messages_leased"] == [1]
    assert found["isthmus_queue_capacity_bytes"] == [65536]
    assert 0 < found["isthmus_queue_used_bytes"][0] < 65536
    assert 0 <= found["isthmus_queue_lease_age_seconds"][0] < 60
    assert found["isthmus_object_participants"] == [1, 0]


def test_a_topic_tells_who_is_behind(name: str) -> None:
    with isthmus.Publisher(name) as publisher, isthmus.Subscriber(name):
        publisher.publish("a")
        publisher.publish("b")
        found = of(metrics(foreign=False), name)
        short = of(metrics(foreign=False, subscribers=False), name)
    assert found["isthmus_topic_published_total"] == [2]
    assert found["isthmus_topic_subscribers"] == [1]
    assert found["isthmus_topic_lag_messages"] == [2]
    assert found["isthmus_topic_subscriber_lag_messages"] == [2]
    assert found["isthmus_topic_subscriber_missed_total"] == [0]
    assert {one for one in found if "subscriber_" in one} == set(found) - set(short)


def test_every_other_kind_has_its_numbers(name: str) -> None:
    kept: list[Any] = [
        isthmus.Lock(f"{name}/lock"),
        isthmus.Semaphore(f"{name}/semaphore", 3),
        isthmus.Event(f"{name}/event"),
        isthmus.Barrier(f"{name}/barrier", parties=2),
        isthmus.RWLock(f"{name}/rwlock"),
        isthmus.Condition(f"{name}/condition"),
        isthmus.AtomicInt(f"{name}/number"),
    ]
    lock, semaphore, event, _, rwlock, _, number = kept
    number.add(-5)
    event.set()
    with lock, semaphore, rwlock.read:
        found = metrics(foreign=False)
    expected = {
        "lock": {"isthmus_lock_held": 1, "isthmus_lock_owner_deaths_total": 0},
        "semaphore": {"isthmus_semaphore_permits": 2},
        "event": {"isthmus_event_set": 1, "isthmus_event_sets_total": 1},
        "barrier": {"isthmus_barrier_arrived": 0, "isthmus_barrier_breaks_total": 0},
        "rwlock": {"isthmus_rwlock_readers": 1, "isthmus_lock_held": 0},
        "condition": {"isthmus_condition_waits_total": 0},
        "number": {"isthmus_atomic_int_value": -5},
    }
    for kind, numbers in expected.items():
        told = of(found, f"{name}/{kind}")
        assert {key: told[key] for key in numbers} == {key: [one] for key, one in numbers.items()}
    for one in kept:
        one.close()


def test_the_machine_is_told_about_as_well() -> None:
    found = {metric.name: metric for metric in metrics(foreign=False)}
    (size,), (used,) = (found[f"isthmus_shm_{what}_bytes"].samples for what in ("size", "used"))
    assert size.value > used.value >= 0
    assert found["isthmus_scrape_duration_seconds"].samples[0].value > 0
    assert found["isthmus_build_info"].samples[0].labels == {"version": isthmus.__version__}


# ---- Made-up ones ---------------------------------------------------------------------


def test_an_object_is_labelled_by_name_and_kind_and_no_more() -> None:
    found = measured(
        shared("a/b", in_use=True),
        shared("c", "lock", alive=None, dead=None, created=None),
        shared("d", in_use=False),
    )
    assert found["isthmus_object_size_bytes"].samples[0].labels == {"name": "a/b", "kind": "queue"}
    assert values(found["isthmus_object_participants"], "name", "state") == {
        ("a/b", "alive"): 2,
        ("a/b", "dead"): 1,
        ("d", "alive"): 2,
        ("d", "dead"): 1,
    }
    assert values(found["isthmus_object_in_use"], "name") == {("a/b",): 1, ("d",): 0}
    assert values(found["isthmus_object_info"], "name", "uid", "mode") == {
        ("a/b", "7", "0640"): 1,
        ("c", "7", "0640"): 1,
        ("d", "7", "0640"): 1,
    }
    assert set(values(found["isthmus_object_created_timestamp_seconds"], "name")) == {
        ("a/b",),
        ("d",),
    }


def test_locks_tell_how_long_they_have_been_held() -> None:
    held = LockState(what="lock", locked=True, owner=None, since=NOW - 5, abandoned=True)
    guard = LockState(what="guard", locked=True, owner=None, since=NOW - 9)
    found = measured(
        seen(shared("a", "lock"), locks=(held,)),
        seen(shared("b", "lock"), locks=(replace(held, locked=False, abandoned=False),)),
        seen(shared("c", "semaphore"), locks=(guard,)),
        seen(shared("d", "lock"), locks=(replace(held, since=NOW + 5),)),
    )
    ages = values(found["isthmus_lock_held_seconds"], "name")
    assert ages == {("a",): 5, ("b",): 0, ("d",): 0}
    assert values(found["isthmus_lock_abandoned"], "name")["a",] == 1


def test_the_oldest_lease_and_only_the_living_subscribers_are_told() -> None:
    one = Member(slot=1, pid=4, command=None, alive=True, since=None, share=1, share_since=NOW - 3)
    idle = replace(one, slot=2, share=0, share_since=NOW - 99)
    late = replace(one, slot=3, share_since=NOW - 8)
    reader = replace(one, slot=1, share=0, lag=6, missed=2)
    found = measured(
        seen(shared("q"), members=(one, idle, late)),
        seen(shared("t", "topic"), members=(reader, replace(reader, slot=2, alive=False))),
    )
    assert values(found["isthmus_queue_lease_age_seconds"], "name") == {("q",): 8}
    assert values(found["isthmus_topic_subscriber_lag_messages"], "pid", "slot") == {("4", "1"): 6}
    assert values(found["isthmus_topic_subscriber_missed_total"], "pid", "slot") == {("4", "1"): 2}


def test_objects_of_others_are_counted_by_library_not_by_name() -> None:
    def other(name: str, library: str | None, resident: int | None) -> SharedObject:
        return shared(name, "segment", family="posix", library=library, resident=resident)

    found = [other("/psm_1", "multiprocessing", 100), other("/psm_2", "multiprocessing", None)]
    found.append(replace(other("/z", None, 5), in_use=False))
    told = measured(*found)
    labels = "library", "family", "kind"
    assert values(told["isthmus_foreign_objects"], *labels) == {
        ("multiprocessing", "posix", "segment"): 2,
        ("unknown", "posix", "segment"): 1,
    }
    assert values(told["isthmus_foreign_resident_bytes"], "library") == {
        ("multiprocessing",): 100,
        ("unknown",): 5,
    }
    assert values(told["isthmus_foreign_unused_bytes"], "library") == {
        ("multiprocessing",): 0,
        ("unknown",): 4096,
    }
    assert "isthmus_foreign_objects" not in measured(*found, foreign=False)


def test_names_follow_the_conventions_and_are_unique() -> None:
    found = list(known())
    assert len({one.name for one in found}) == len(found)
    for one in found:
        assert re.fullmatch(r"isthmus_[a-z_]+[a-z]", one.name)
        assert one.help.endswith(".")
        assert one.name.endswith("_total") == (one.type == "counter")
        assert one.name.endswith("_info") == (one.type == "info")
        assert one.name.removesuffix("_total").endswith(f"_{one.unit}" if one.unit else "")


# ---- prometheus_client ----------------------------------------------------------------


def registry(**options: Any) -> Any:
    client = pytest.importorskip("prometheus_client")
    made = client.CollectorRegistry(auto_describe=True)
    made.register(Collector(**options))
    return made


def test_the_official_parser_reads_what_the_collector_gives(name: str) -> None:
    made = registry(foreign=False)
    from prometheus_client.openmetrics.exposition import generate_latest
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    with isthmus.Queue(f'{name}/"a\\b\n') as queue, isthmus.Publisher(f"{name}/t") as publisher:
        queue.put(1)
        with isthmus.Subscriber(f"{name}/t"):
            publisher.publish(1)
            text = generate_latest(made).decode()
    families = {one.name: one for one in text_string_to_metric_families(text)}
    put = families["isthmus_queue_put"]
    assert (put.type, families["isthmus_object"].type) == ("counter", "info")
    assert families["isthmus_queue_used_bytes"].unit == "bytes"
    mine = [one for one in put.samples if one.labels["name"] == f'{name}/"a\\b\n']
    assert [(one.name, one.value) for one in mine] == [("isthmus_queue_put_total", 1)]


def test_a_name_that_is_no_text_and_twins_spoil_no_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    from isthmus.inspect import _metrics

    odd = shared("\udcff"), shared("\\udcff"), shared("twin"), shared("twin")
    sight = Sight(NOW, odd, MappingProxyType({}))
    monkeypatch.setattr(_metrics.Watch, "look", lambda _: sight)
    made = registry()
    from prometheus_client.openmetrics.exposition import generate_latest
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    families = {
        one.name: one for one in text_string_to_metric_families(generate_latest(made).decode())
    }
    names = [one.labels["name"] for one in families["isthmus_object_size_bytes"].samples]
    assert names == ["\\udcff", "twin"]


def test_a_registry_refuses_it_twice_without_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    made = registry()
    monkeypatch.setattr("isthmus.inspect._metrics.metrics", None)
    with pytest.raises(ValueError, match="isthmus_build"):
        made.register(Collector())


def test_without_the_package_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = builtins.__import__

    def missing(name: str, *more: Any, **options: Any) -> Any:
        if name.startswith("prometheus_client"):
            raise ImportError(name)
        return real(name, *more, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(isthmus.errors.UnsupportedError, match=r"isthmus\[metrics\]"):
        Collector()
