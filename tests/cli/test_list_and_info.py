"""``isthmus ls`` and ``isthmus info``."""

from __future__ import annotations

import io
import json
import mmap
import os
from collections.abc import Iterator

import pytest
import shell
from other_processes import Other
from rich.console import Console

import isthmus
from isthmus.cli import output
from isthmus.cli.output import Column


def isthmus_command(*words: str, code: int = 0) -> str:
    """Its standard output; its standard error where it ends with another code than 0."""
    done = shell.isthmus(*words)
    assert done.code == code, done.errors
    return done.errors if code else done.text


def listed(*words: str) -> dict[str, dict[str, object]]:
    return {one["name"]: one for one in json.loads(isthmus_command("ls", "--json", *words))}


@pytest.fixture
def leaked() -> Iterator[str]:
    """A segment of multiprocessing.shared_memory that its maker left behind; its name."""
    name = f"psm_{os.urandom(4).hex()}"
    with open(f"/dev/shm/{name}", "wb") as file:
        file.truncate(8192)
    yield f"/{name}"
    os.unlink(f"/dev/shm/{name}")


def test_ls_shows_ours_and_those_of_others_and_picks_among_them(name: str, leaked: str) -> None:
    with isthmus.Queue(f"{name}/jobs") as queue, isthmus.Publisher(f"{name}/camera"):
        queue.put_many([1, 2, 3])
        every = (f"*{name}*", leaked)
        shown = isthmus_command("ls", *every)
        assert "\x1b" not in shown
        heading, *rows = [line.split() for line in shown.splitlines()]
        assert heading[:3] == ["KIND", "NAME", "SIZE"]
        by_name = {row[1]: row for row in rows}
        assert by_name[f"{name}/jobs"][0] == "queue"
        assert "3" in by_name[f"{name}/jobs"]
        assert by_name[f"posix:{leaked[1:]}"][-1] == "multiprocessing"
        assert list(listed("--kind", "queue", f"{name}/*")) == [f"{name}/jobs"]
        assert list(listed("--foreign", *every)) == [leaked]
        assert set(listed("--ours", *every)) == {f"{name}/jobs", f"{name}/camera"}
        assert leaked in listed("--unused")
        found = listed(*every, "--sort", "size")
        assert list(found)[-1] == leaked
        assert next(iter(listed(*every, "--sort", "size", "--reverse"))) == leaked
        users = found[f"{name}/jobs"]["users"]
        assert isinstance(users, list)
        assert users[0]["pid"] == os.getpid()
        assert str(os.getpid()) in isthmus_command("ls", "--users", f"{name}/jobs")
    assert isthmus_command("ls", f"{name}/*") == ""


def test_who_maps_a_foreign_segment_is_told(leaked: str) -> None:
    with open(f"/dev/shm{leaked}", "r+b") as file:
        mapping = mmap.mmap(file.fileno(), 0)
    found = listed(f"posix:{leaked[1:]}")[leaked]
    assert found["in_use"] is True
    assert [user["pid"] for user in found["users"]] == [os.getpid()]  # type: ignore[attr-defined]
    mapping.close()
    assert listed(leaked)[leaked]["users"] == []


def test_info_tells_of_a_killed_worker_and_a_slow_subscriber(name: str) -> None:
    with isthmus.Queue(f"{name}/q") as queue:
        queue.put_many(["a", "b"])

        def work() -> object:
            other = isthmus.Queue.attach(f"{name}/q")
            return other, other.lease()

        with Other(work) as other:
            (told,) = json.loads(isthmus_command("info", f"{name}/q", "--seconds", "0", "--json"))
            (lease,) = told["leases"]
            assert (lease["number"], lease["worker"]["pid"]) == (0, other.pid)
            shown = isthmus_command("info", f"{name}/q", "--seconds", "0.01")
            for words in ("Leases", f"pid {other.pid}", "Participants", "records", "/s"):
                assert words in shown
            other.kill()
        assert "1 participant died" in isthmus_command("info", f"{name}/q", "--seconds", "0")
    with (
        isthmus.Publisher(f"{name}/t", capacity=4096, overflow="overwrite") as publisher,
        isthmus.Subscriber(f"{name}/t"),
    ):
        for i in range(100):
            publisher.publish(i)
        shown = isthmus_command("info", f"{name}/t", "--seconds", "0")
        assert f"subscriber with pid {os.getpid()} is 100 messages behind" in shown


def test_info_of_what_others_made(leaked: str) -> None:
    (told,) = json.loads(isthmus_command("info", leaked, "--json"))
    assert (told["shared"]["library"], told["shared"]["size"]) == ("multiprocessing", 8192)
    shown = isthmus_command("info", f"posix:{leaked[1:]}")
    assert "multiprocessing" in shown


def test_bytes_that_are_no_text_come_back_as_they_were() -> None:
    name = os.fsdecode(b"psm_\xff" + os.urandom(4).hex().encode())
    with open(f"/dev/shm/{name}", "wb"):
        pass
    try:
        assert f"/{name}" in listed("--foreign")
        assert "\\udcff" in isthmus_command("ls", "--foreign", f"/{name}")
    finally:
        os.unlink(f"/dev/shm/{name}")


def test_what_is_wrong_is_an_error_with_a_code(name: str) -> None:
    assert name in isthmus_command("info", name, code=1)
    assert "sysv-shm" in isthmus_command("info", "sysv-shm:x", code=1)
    isthmus_command("info", code=2)
    isthmus_command("ls", "--sort", "beauty", code=2)


@pytest.mark.slow
def test_five_thousand_objects_are_listed_by_a_process(name: str) -> None:
    made = [isthmus.Event(f"{name}/{i}") for i in range(5000)]
    done = shell.ran("ls", "--ours", f"{name}/*")
    assert done.code == 0, done.errors
    assert len(done.text.splitlines()) == len(made) + 1


def test_a_table_keeps_its_columns_where_the_terminal_is_too_narrow() -> None:
    screen = io.StringIO()
    terminal = Console(file=screen, width=20, force_terminal=True, color_system=None)
    columns = [Column("KIND"), Column("NAME", shrinks=True), Column("SIZE", "right")]
    output.table(terminal, columns, [["semaphores", "x" * 50, "100.0 MiB"]])
    assert screen.getvalue().splitlines()[-1].split() == [
        "semaphores",
        "x" * 7 + "…",
        "100.0",
        "MiB",
    ]
