"""`isthmus pub` and `isthmus sub`: topics by the shell."""

from __future__ import annotations

import base64
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from shell import PATIENCE, isthmus, started, until

from isthmus import Publisher, Subscriber, Topic


@pytest.fixture
def publisher(name: str) -> Iterator[Publisher]:
    with Publisher(name, capacity="64 KiB") as made:
        yield made


# ---- sub --------------------------------------------------------------------------------


def test_json_lines_tell_all_that_a_program_needs_of_each_message(publisher: Publisher) -> None:
    frame = np.arange(12, dtype="u1").reshape(3, 4)
    publisher.publish_many(["ü", frame, {"a": 1}, b"\xff"])
    done = isthmus("sub", publisher.name, "--start", "oldest", "--count", 4, "--json")
    assert [json.loads(line) for line in done.lines] == [
        {"number": 0, "type": "text", "size": 2, "value": "ü"},
        {"number": 1, "type": "array", "size": 12, "shape": [3, 4], "dtype": "u1"},
        {"number": 2, "type": "value", "size": 20, "value": {"a": 1}},
        {"number": 3, "type": "bytes", "size": 1, "data": "/w=="},
    ]
    done = isthmus("sub", publisher.name, "--start", 3, "--count", 1, "--json", "--data", "base64")
    found = json.loads(done.text)
    assert (found["number"], base64.b64decode(found["data"])) == (1, frame.tobytes())


def test_where_to_start_and_when_to_end(publisher: Publisher) -> None:
    publisher.publish_many(["a", "b", "c"])
    done = isthmus("sub", publisher.name, "--start", "2", "--timeout", "0")
    assert (done.code, done.lines) == (0, ["b", "c"])
    done = isthmus("sub", publisher.name, "--timeout", "0")
    assert (done.code, done.lines) == (3, [])
    done = isthmus("sub", publisher.name, "--start", "oldest", "--count", "4", "--timeout", "0")
    assert (done.code, done.lines, "no more message" in done.errors) == (3, ["a", "b", "c"], True)
    assert isthmus("sub", publisher.name, "--start", "yesterday").code == 2
    assert publisher.stats().subscribers == 0


def test_a_topic_that_is_not_there_is_an_error_unless_it_is_to_be_made(name: str) -> None:
    done = isthmus("sub", name, "--timeout", "0")
    assert (done.code, name in done.errors, "--create" in done.errors) == (1, True, True)
    assert isthmus("sub", name, "--timeout", "0", "--create", "--capacity", "8 KiB").code == 3
    assert isthmus("sub", name, "--capacity", "8 KiB").code == 2


def test_pickles_are_named_and_passed_over_unless_allowed(publisher: Publisher) -> None:
    publisher.publish_many([{1}, "text"])
    arguments = ["sub", publisher.name, "--start", "oldest", "--count", 2]
    unread, text = isthmus(*arguments).lines
    assert "pickle" in unread
    assert "--allow-pickle" in unread
    assert text == "text"
    found = [json.loads(line) for line in isthmus(*arguments, "--json").lines]
    assert [(one["number"], one["type"]) for one in found] == [(0, "pickle"), (1, "text")]
    assert isthmus(*arguments, "--allow-pickle").lines == ["{1}", "text"]


def test_files_of_a_topic_are_numbered_as_its_messages(
    publisher: Publisher, tmp_path: Path
) -> None:
    publisher.publish_many([b"gone", np.arange(3), b"bytes"])
    options = ["--start", 2, "--count", 2, "--output", f"{tmp_path}/new/"]
    assert isthmus("sub", publisher.name, *options).output == b""
    assert sorted(os.listdir(tmp_path / "new")) == ["00000001.npy", "00000002.bin"]
    assert np.load(tmp_path / "new" / "00000001.npy").tolist() == [0, 1, 2]


@pytest.mark.slow
def test_a_subscriber_says_what_it_has_missed_and_gives_each_message_at_once(name: str) -> None:
    with Publisher(name, capacity=4096, overflow="overwrite") as publisher:
        reader, writer = os.pipe()
        with started("sub", name, "--count", "3", "--json", stdout=writer) as process:
            os.close(writer)
            until(lambda: publisher.stats().subscribers)
            publisher.publish("first")
            # It is there before any other one has come: nothing waits in a buffer.
            first = json.loads(os.read(reader, 1000))
            process.send_signal(signal.SIGSTOP)  # a slow one
            stat = Path(f"/proc/{process.pid}/stat")
            until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")
            for number in range(1000):
                publisher.publish(f"message {number}")
            process.send_signal(signal.SIGCONT)
            _, errors = process.communicate(timeout=PATIENCE)
            rest = [json.loads(line) for line in os.read(reader, 10_000).splitlines()]
            os.close(reader)
    assert process.returncode == 0, errors
    assert first["number"] == 0
    # The numbers go on where those that are left begin, and so does what is in them.
    assert [one["value"] for one in rest] == [f"message {one['number'] - 1}" for one in rest]
    assert rest[1]["number"] == rest[0]["number"] + 1
    assert f"missed {rest[0]['number'] - 1} messages".encode() in errors


# ---- pub --------------------------------------------------------------------------------


def test_texts_lines_and_files_are_published(publisher: Publisher, tmp_path: Path) -> None:
    file = tmp_path / "array.npy"
    np.save(file, np.arange(3))
    with publisher.subscriber(timeout=0) as subscriber:
        isthmus("pub", publisher.name, "a", "b c")
        isthmus("pub", publisher.name, "--json", stdin='{"a": 1}\n')
        isthmus("pub", publisher.name, "--npy", "--file", file)
        assert [subscriber.recv() for _ in range(3)] == ["a", "b c", {"a": 1}]
        assert subscriber.recv().tolist() == [0, 1, 2]


def test_a_slow_subscriber_is_waited_for_passed_over_or_an_error(name: str) -> None:
    lines = "x" * 1000 + "\n"
    with Publisher(name, capacity=4096) as publisher, publisher.subscriber() as slow:
        done = isthmus("pub", name, "--timeout", "0", stdin=lines * 9)
        assert (done.code, "3 messages before" in done.errors) == (3, True)
        done = isthmus("pub", name, "--overflow", "error", "text " * 200)
        assert done.code == 3
        assert isthmus("pub", name, "--overflow", "overwrite", stdin=lines * 9).code == 0
        assert slow.recv() == "x" * 1000
        assert slow.missed > 0


def test_a_topic_is_made_only_if_asked_for_and_stays_only_if_asked_for(name: str) -> None:
    done = isthmus("pub", name, "text")
    assert (done.code, "--create" in done.errors) == (1, True)
    done = isthmus("pub", name, "--create", "text")
    assert done.code == 0
    assert "--wait-subscribers" in done.errors
    assert isthmus("pub", name, "--persist", "text").code == 2
    assert isthmus("pub", name, "--create", "--persist", "--capacity", "8 KiB", "kept").code == 0
    with Topic(name) as topic, Subscriber.attach(name, start="oldest", timeout=0) as subscriber:
        topic.unlink()
        assert (topic.capacity, subscriber.recv()) == (8192, "kept")


@pytest.mark.slow
def test_pub_waits_for_its_subscribers(name: str) -> None:
    done = isthmus("pub", name, "--create", "--wait-subscribers", 1, "--timeout", "0", "text")
    assert (done.code, "nothing was published" in done.errors) == (3, True)
    arguments = ["--create", "--wait-subscribers", 2, "a", "b"]
    with started("pub", name, *arguments) as process:
        until(lambda: f"isthmus.{name}" in os.listdir("/dev/shm"))
        with Subscriber(name, timeout=PATIENCE) as one, Subscriber(name, timeout=PATIENCE) as two:
            assert [one.recv(), one.recv(), two.recv()] == ["a", "b", "a"]
            assert process.communicate(timeout=PATIENCE) == (b"", b"")
    assert process.returncode == 0
