"""`isthmus tail`: shows what is there and what comes, and nobody can tell that it looks."""

from __future__ import annotations

import json
import os
import struct

import numpy as np
import pytest
from shell import PATIENCE, isthmus, started
from untouched import untouched

from isthmus import Publisher, Queue
from isthmus.inspect import info


def test_the_last_messages_of_a_queue_are_shown_and_stay(name: str) -> None:
    with Queue(name) as queue:
        queue.put_many([b"\x01", "a", {"b": None}, None, np.zeros((2, 3), "f4"), {1}])
        with untouched(f"/dev/shm/isthmus.{name}"):
            done = isthmus("tail", name, "-n", "5", "--json")
        found = [json.loads(line) for line in done.lines]
        assert [one["type"] for one in found] == ["text", "value", "value", "array", "pickle"]
        assert found[0] == {"number": 1, "type": "text", "size": 1, "value": "a"}
        assert found[3] == {
            "number": 4, "type": "array", "size": 24, "shape": [2, 3], "dtype": "f4",
        }  # fmt: skip
        assert isthmus("tail", name, "-n", "0").lines == []
        shown = isthmus("tail", name).lines
        assert shown[:-1] == ["\x01a", "{'b': None}", "None", "array 2x3 f4"]
        assert "pickle" in shown[-1]
        assert queue.qsize() == 6


def test_what_is_worked_on_is_shown_and_what_is_done_is_not(name: str) -> None:
    with Queue(name) as queue:
        queue.put_many(["leased", "done", "ready"])
        first = queue.lease()
        queue.lease().acknowledge()
        assert isthmus("tail", name).lines == ["leased", "ready"]
        first.give_back()


def test_a_damaged_message_is_named_and_the_next_one_is_shown(name: str) -> None:
    with Queue(name) as queue:
        queue.put_many(["first", "broken", "last"])
        with open(f"/dev/shm/isthmus.{name}", "r+b") as file:
            file.seek(file.read().index(b"broken") - 32)
            file.write(struct.pack("=QQ", 2**40, 2**50))
        done = isthmus("tail", name)
        assert done.code == 0
        assert (done.lines[0], done.lines[-1]) == ("first", "last")
        assert "damaged" in done.lines[1]


def test_what_is_not_there_or_no_ring_is_an_error(name: str) -> None:
    done = isthmus("tail", name)
    assert (done.code, name in done.errors) == (1, True)
    path = f"/dev/shm/isthmus.{name}"
    for content in (b"", os.urandom(100), bytes(8192)):
        with open(path, "wb") as file:
            file.write(content)
        assert isthmus("tail", name, "--follow").code == 1
    os.unlink(path)
    assert isthmus("tail", "sysv-shm:1").code == 2


def test_following_ends_when_the_queue_has_been_shut_down_and_is_empty(name: str) -> None:
    with Queue(name) as queue:
        queue.put("last")
        done = isthmus("tail", name, "-f", "--timeout", "0", "-n", "1")
        assert (done.code, done.lines) == (0, ["last"])
        queue.get()
        queue.shutdown()
        assert isthmus("tail", name, "-f").code == 0


@pytest.mark.slow
def test_following_shows_what_comes_and_tells_what_it_missed(name: str) -> None:
    publisher = Publisher(name, capacity=4096)
    publisher.publish_many(["one", "two"])
    arguments = ["-n", "1", "--follow", "--interval", "0.001", "--json"]
    with started("tail", name, *arguments) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["value"] == "two"
        publisher.publish("three")
        assert json.loads(process.stdout.readline())["number"] == 2
        assert [member.pid for member in info(name, seconds=0).members] == [os.getpid()]
        # More than fit are published at once: no look can see all of them.
        publisher.publish_many([f"{number:1000}" for number in range(500)])
        publisher.publish("last")
        publisher.unlink()
        output, errors = process.communicate(timeout=PATIENCE)
    publisher.close()
    shown = [json.loads(line) for line in output.splitlines()]
    assert process.returncode == 0, errors
    assert shown[-1]["value"] == "last"
    numbers = [one["number"] for one in shown]
    assert numbers == sorted(set(numbers))
    missed = sum(int(line.split()[2]) for line in errors.splitlines() if b"missed" in line)
    assert missed + len(shown) == 501
    assert missed > 0
    assert b"removed" in errors
