"""`isthmus put` and `isthmus get`: what goes in by the shell comes out by it, and is not lost."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from shell import PATIENCE, isthmus, ran, started, until

from isthmus import Queue
from isthmus.cli.messages import _split
from isthmus.inspect import info


@pytest.fixture
def queue(name: str) -> Iterator[Queue]:
    with Queue(name, capacity="1 MiB") as made:
        yield made


def taken(queue: Queue) -> list[object]:
    return [queue.get_nowait() for _ in range(queue.qsize())]


# ---- put --------------------------------------------------------------------------------


def test_each_text_is_a_message(queue: Queue) -> None:
    assert isthmus("put", queue.name, "a", "b c", "ü").code == 0
    assert taken(queue) == ["a", "b c", "ü"]


def test_each_line_of_standard_input_is_a_message_unless_said_otherwise(queue: Queue) -> None:
    isthmus("put", queue.name, stdin="one\n\nthree")
    isthmus("put", queue.name, "-0", stdin=b"a\nb\0c\0")
    isthmus("put", queue.name, "--whole", stdin=b"x\ny\n")
    isthmus("put", queue.name, "--bytes", stdin=b"\xff\n")
    assert taken(queue) == ["one", "", "three", "a\nb", "c", b"x\ny\n", b"\xff"]


def test_a_part_may_be_as_long_as_many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.cli.messages._CHUNK", 4)
    parts = [b"", b"a", b"b" * 11, b"", b"c" * 8, b"d"]
    assert list(_split(io.BytesIO(b"\0".join(parts)))) == parts
    assert list(_split(io.BytesIO(b"\0".join(parts) + b"\0"))) == parts


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (str(1 << 63), "64 bits"),
        ('{"a": [-9223372036854775809]}', "64 bits"),
        ("[1e400]", "too large"),
        ('{"\\ud800": 1}', "surrogate"),
        ("[" * 17 + "]" * 17, "16 levels deep"),
    ],
)
def test_json_that_could_only_be_sent_as_a_pickle_is_refused(
    queue: Queue, text: str, why: str
) -> None:
    done = isthmus("put", queue.name, "--json", text)
    assert done.code == 1
    assert why in done.errors
    assert queue.qsize() == 0


def test_json_has_all_the_room_that_plain_values_have(queue: Queue) -> None:
    for text in (str((1 << 63) - 1), f"[{-(1 << 63)}]", "[" * 16 + "]" * 16, '"\\ud83d\\ude00"'):
        assert isthmus("put", queue.name, "--json", text).code == 0
        assert isthmus("get", queue.name, "--timeout", 0).code == 0


def test_text_that_is_none_in_utf_8_comes_out_by_its_escapes(queue: Queue) -> None:
    for text, shown in (("a\ud800", b"a\\ud800\n"), ("\udcff", b"\xff\n")):
        queue.put(text)
        assert isthmus("get", queue.name, "--allow-pickle").output == shown
        queue.put(text)
        done = isthmus("get", queue.name, "--allow-pickle", "--json")
        assert json.loads(done.output)["value"] == text


def test_json_is_put_as_what_it_stands_for(queue: Queue) -> None:
    isthmus("put", queue.name, "--json", '{"job": [1, 2.5, null]}', '"text"')
    isthmus("put", queue.name, "--json", stdin="1\n\n[true]\n")
    assert taken(queue) == [{"job": [1, 2.5, None]}, "text", 1, [True]]


def test_a_file_is_one_message_or_is_parted(queue: Queue, tmp_path: Path) -> None:
    file, array = tmp_path / "file", tmp_path / "array.npy"
    file.write_bytes(b"\x00one\ntwo\n")
    np.save(array, np.arange(6, dtype="i2").reshape(2, 3))
    isthmus("put", queue.name, "--file", file, "--file", file)
    isthmus("put", queue.name, "--file", file, "--lines")
    isthmus("put", queue.name, "--file", "-", stdin=b"all\nof it")
    assert taken(queue) == [file.read_bytes()] * 2 + ["\x00one", "two", b"all\nof it"]
    isthmus("put", queue.name, "--npy", "--file", array)
    found = queue.get()
    assert found.dtype == np.dtype("i2")
    assert found.tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("options", "stdin", "words"),
    [
        ([], b"good\n\xff\n", ["line 2 of standard input", "UTF-8", "--bytes"]),
        (["--json"], b"1\n{1}\n", ["line 2 of standard input", "JSON", "jq"]),
        (["--json"], b"1\nNaN\n", ["line 2", "NaN"]),
        (["--json"], b"1\n" + b"[" * 100_000, ["line 2"]),
        (["--npy"], b"\x93NUMPY", ["numpy.save"]),
        (["--file", "/nowhere/at-all"], b"", ["/nowhere/at-all", "No such file"]),
    ],
)
def test_what_is_no_message_is_named_and_what_came_before_is_put(
    queue: Queue, options: list[str], stdin: bytes, words: list[str]
) -> None:
    done = isthmus("put", queue.name, *options, stdin=stdin)
    assert done.code == 1
    assert all(word in done.errors for word in words), done.errors
    assert len(taken(queue)) == ("1 message before" in done.errors)


@pytest.mark.parametrize(
    "words",
    [
        ["--file", "x", "text"],
        ["--lines", "text"],
        ["-0", "text"],
        ["--json", "--bytes"],
        ["--capacity", "1 MiB", "text"],
        ["--timeout", "-1", "text"],
        ["--owner", "nobody of this name", "text"],
    ],
)
def test_what_contradicts_itself_is_wrong_usage(queue: Queue, words: list[str]) -> None:
    assert isthmus("put", queue.name, *words).code == 2
    assert queue.qsize() == 0


def test_a_queue_that_is_not_there_is_an_error_unless_it_is_to_be_made(name: str) -> None:
    done = isthmus("put", name, "text")
    assert (done.code, name in done.errors, "--create" in done.errors) == (1, True, True)
    assert isthmus("put", name, "--create", "--capacity", "4 KiB", "one").code == 0
    # It has stayed, though nobody had it open; and it is not made again.
    assert isthmus("put", name, "--create", "--capacity", "8 KiB", "two").code == 0
    with Queue.attach(name) as queue:
        queue.unlink()
        assert (queue.capacity, queue.get_many(9)) == (4096, ["one", "two"])


def test_no_room_in_time_is_exit_code_3_and_tells_how_many_were_put(name: str) -> None:
    with Queue(name, maxsize=2) as queue:
        done = isthmus("put", name, "--timeout", "0", "a", "b", "c", "d")
        assert done.code == 3
        assert "2 messages before" in done.errors
        assert taken(queue) == ["a", "b"]


def test_a_queue_of_another_kind_or_shut_down_is_an_error(queue: Queue) -> None:
    queue.shutdown()
    done = isthmus("put", queue.name, "late")
    assert (done.code, "shut down" in done.errors) == (1, True)
    assert isthmus("put", "posix:" + queue.name, "text").code == 2
    assert isthmus("put", "sysv-shm:1", "text").code == 2


def test_a_queue_of_another_user_is_refused_unless_named(name: str, unprivileged: int) -> None:
    with Queue.create(name, owner=unprivileged, mode=0o666) as queue:
        for words in (["put", name, "text"], ["get", name, "--timeout", "0"]):
            done = isthmus(*words)
            assert (done.code, name in done.errors, done.output) == (1, True, b"")
        assert queue.qsize() == 0
        assert isthmus("put", name, "--owner", unprivileged, "text").code == 0
        assert isthmus("get", name, "--owner", "any").lines == ["text"]


# ---- get --------------------------------------------------------------------------------


def test_texts_come_as_lines_bytes_as_they_are_and_the_rest_as_python_shows_it(
    queue: Queue,
) -> None:
    queue.put_many(["text", b"\x00\xff", {"job": (1, None)}, np.zeros((480, 640), "u1")])
    assert isthmus("get", queue.name, "--count", "4").output == (
        b"text\n\x00\xff{'job': (1, None)}\narray 480x640 u1\n"
    )
    queue.put_many(["a\nb", b"c"])
    assert isthmus("get", queue.name, "--all", "-0").output == b"a\nb\0c\0"


def test_json_lines_have_what_a_program_needs(queue: Queue) -> None:
    queue.put_many(["ü", b"\x00\xff", {"a": [1, 2.5], 3: (b"x", float("inf"))}])
    queue.put_many([np.arange(4, dtype=">i2")] * 2)
    got = [json.loads(line) for line in isthmus("get", queue.name, "--json", "--count", 4).lines]
    common = {"attempt": 1}
    assert got == [
        common | {"number": 0, "type": "text", "size": 2, "value": "ü"},
        common | {"number": 1, "type": "bytes", "size": 2, "data": "AP8="},
        common
        | {"number": 2, "type": "value", "size": 63, "value": {"a": [1, 2.5], "3": ["x", "inf"]}},
        common | {"number": 3, "type": "array", "size": 8, "shape": [4], "dtype": ">i2"},
    ]
    last = json.loads(isthmus("get", queue.name, "--json", "--data", "base64").text)
    assert base64.b64decode(last["data"]) == np.arange(4, dtype=">i2").tobytes()


def test_files_have_what_was_put(queue: Queue, tmp_path: Path) -> None:
    content = os.urandom(1000)
    file = tmp_path / "file"
    file.write_bytes(content)
    isthmus("put", queue.name, "--file", file)
    assert isthmus("get", queue.name, "--output", tmp_path / "copy").output == b""
    assert (tmp_path / "copy").read_bytes() == content
    queue.put_many(["text", {"a": 1}, np.arange(3), content])
    done = isthmus("get", queue.name, "--all", "--json", "--output", f"{tmp_path}/several/")
    named = [Path(json.loads(line)["file"]) for line in done.lines]
    assert [path.name for path in named] == [
        "00000001.txt", "00000002.json", "00000003.npy", "00000004.bin",
    ]  # fmt: skip
    assert named[0].read_text() == "text"
    assert json.loads(named[1].read_text()) == {"a": 1}
    assert np.load(named[2]).tolist() == [0, 1, 2]
    assert named[3].read_bytes() == content


def test_exit_codes_tell_whether_there_was_something(queue: Queue) -> None:
    assert isthmus("get", queue.name, "--timeout", "0").code == 3
    assert isthmus("get", queue.name, "--all").code == 0
    queue.put_many(["a", "b", "c", "d"])
    assert isthmus("get", queue.name).lines == ["a"]
    done = isthmus("get", queue.name, "--count", "2", "--timeout", "0")
    assert (done.code, done.lines) == (0, ["b", "c"])
    done = isthmus("get", queue.name, "--count", "2", "--timeout", "0")
    assert (done.code, done.lines) == (3, ["d"])
    assert "no more message" in done.errors
    queue.put("last")
    queue.shutdown()
    done = isthmus("get", queue.name, "--follow")
    assert (done.code, done.lines, done.errors) == (0, ["last"], "")
    assert isthmus("get", queue.name).code == 0


@pytest.mark.parametrize(
    "words",
    [
        ["--count", "2", "--all"],
        ["--all", "--timeout", "1"],
        ["--data", "base64"],
        ["--json", "-0"],
        ["--count", "2", "--output", "one-file"],
        ["--count", "0"],
        ["--output", ""],
    ],
)
def test_wrong_usage_takes_nothing(queue: Queue, words: list[str]) -> None:
    queue.put("message")
    assert isthmus("get", queue.name, *words).code == 2
    assert queue.qsize() == 1


def test_a_pickle_is_read_only_if_that_is_asked_for(queue: Queue) -> None:
    queue.put({1})
    done = isthmus("get", queue.name)
    assert done.code == 1
    assert "--allow-pickle" in done.errors
    assert queue.qsize() == 1
    done = isthmus("get", queue.name, "--allow-pickle", "--json")
    assert json.loads(done.text) | {"attempt": 0} == {
        "number": 0, "type": "object", "size": None, "attempt": 0, "repr": "{1}",
    }  # fmt: skip


def test_what_cannot_be_written_stays(queue: Queue, tmp_path: Path) -> None:
    queue.put("message")
    folder = tmp_path / "a directory"
    folder.mkdir()
    (folder / "00000000.txt").mkdir()
    done = isthmus("get", queue.name, "--output", folder)
    assert (done.code, str(folder) in done.errors) == (1, True)
    assert (queue.qsize(), queue.get()) == (1, "message")


# ---- In processes of their own ------------------------------------------------------------


@pytest.mark.slow
def test_a_message_that_nobody_could_read_is_in_the_queue_again(queue: Queue) -> None:
    queue.put("first")
    reader, writer = os.pipe()
    with started("get", queue.name, "--follow", stdout=writer) as process:
        os.close(writer)
        assert os.read(reader, 100) == b"first\n"
        os.close(reader)
        queue.put("second")
        _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (1, b"")
    assert queue.get(timeout=1) == "second"


@pytest.mark.slow
def test_whoever_is_killed_while_writing_has_lost_nothing(queue: Queue) -> None:
    large = bytes(40_000)
    queue.put_many([b"x", large, large])
    with started("get", queue.name, "--follow") as process:
        assert process.stdout is not None
        process.stdout.read(1)
        # The second fits into the pipe, the third does not: it is leased while that is full.
        until(lambda: not queue.stats().ready)
        process.kill()
        process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGKILL
    assert queue.get(timeout=1) == large


@pytest.mark.slow
def test_a_shell_pipeline_carries_a_file_through_a_queue(queue: Queue, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(10_000))
    with open(file, "rb") as stdin:
        assert ran("put", queue.name, "--whole", stdin=stdin).code == 0
    assert ran("get", queue.name, "--timeout", "1").output == file.read_bytes()
    # Ctrl-C ends a wait, and is no error that needs words of Python.
    with started("get", queue.name) as process:
        until(lambda: any(member.waiting for member in info(queue.name).members))
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors.strip()) == (130, b"isthmus: interrupted")
