"""``isthmus dump``: what it writes, in this process; and as one of its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console
from rings import Memory

import isthmus
from isthmus.cli import output
from isthmus.cli.app import app
from isthmus.cli.hexdump import lines

PATIENCE = 60.0


def dumped(*words: str) -> str:
    done = CliRunner().invoke(app, ["dump", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(*words: str) -> str:
    done = CliRunner().invoke(app, ["dump", *words])
    assert done.exit_code == 2
    return " ".join(done.output.split())


@pytest.fixture
def queue(name: str) -> Iterator[isthmus.Queue]:
    with isthmus.Queue(name, capacity=8192) as made:
        made.put_many([{"job": number} for number in range(20)])
        yield made


def test_a_queue_is_shown_in_sections(queue: isthmus.Queue, name: str) -> None:
    text = dumped(name)
    assert text.startswith(f"queue {name}\n")
    heads = [line.split("  ")[0] for line in text.splitlines() if line and line[0].isupper()]
    assert heads == ["Header", "Primitive", "Ring", "Cursors", "Participants", "SLOT",
                     "Messages", "NUMBER"]  # fmt: skip
    assert "Messages  10 of 20" in text
    assert text.rstrip().endswith("{'job': 19}")
    assert "{'job': 9}" not in text and "{'job': 10}" in text
    assert "fingerprint" not in text and "fingerprint" in dumped(name, "--full")
    only = dumped(name, "--section", "records", "-n", "all")
    assert only.count("{'job': ") == 20 and "Header" not in only
    assert "{'job': 3}" in dumped(name, "--start", "3", "-n", "1")
    assert "{'job': 0}" in dumped(name, "--start", "oldest", "-n", "1")


def test_in_a_terminal_it_fits_and_says_how_to_see_more(
    queue: isthmus.Queue, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.put("long " * 1000)
    screen = io.StringIO()
    terminal = Console(file=screen, width=80, force_terminal=True, color_system=None)
    monkeypatch.setattr(output, "console", lambda: terminal)
    dumped(name)
    written = screen.getvalue().splitlines()
    assert len(written) < 50
    assert max(map(len, written)) <= 80
    assert "…" in next(line for line in written if "'long long" in line)
    assert "--records all" in screen.getvalue().partition("More: ")[2]


def test_bytes_are_shown_in_hexadecimal(queue: isthmus.Queue, name: str) -> None:
    text = dumped(name, "--section", "bytes", "--bytes", "0x0-0x10")
    assert text.splitlines()[-1] == (
        "  00000000  49 53 54 48 4d 55 53 0a  01 00 00 00 0a 00 00 00  |ISTHMUS.........|"
    )
    assert dumped(name, "--section", "bytes", "--bytes", "0+16") == text
    region = dumped(name, "--section", "bytes", "--bytes", "header").splitlines()
    assert region[-1].startswith("  000000f0  00 00") and "  *" in region
    queue.put(b"\0" * 300)
    text = dumped(name, "--section", "records", "--hex", "-n", "1")
    assert "Message 20\n" in text and "… 44 bytes more: --full" in text
    assert "more: --full" not in dumped(name, "--hex", "--full", "-n", "1")


def test_lines_that_are_equal_are_folded() -> None:
    data = b"a" * 16 + b"b" * 64 + b"c" * 3
    assert [line[:11] for line in lines(data, 16)] == [
        "00000010  6", "00000020  6", "*", "00000050  6", "00000060  6",
    ]  # fmt: skip
    assert next(lines(b"ab\x80")).endswith("|ab.|")
    assert list(lines(b"")) == []


def test_json_has_all_of_it_and_bytes_in_hexadecimal(queue: isthmus.Queue, name: str) -> None:
    found = json.loads(dumped(name, "--json", "-n", "2", "--hex", "--bytes", "0+8"))
    assert [one["preview"] for one in found["messages"]] == ["{'job': 18}", "{'job': 19}"]
    assert bytes.fromhex(found["messages"][0]["payload_hex"])[:1] == b"{"
    assert found["messages"][0]["record"]["number"] == 18
    assert found["pieces"] == [{"offset": 0, "size": 8, "data": b"ISTHMUS\n".hex()}]
    sections = {part["section"] for part in found["parts"]}
    assert sections == {"header", "control", "participants"}
    found = json.loads(dumped(name, "--json", "--section", "header"))
    assert found["messages"] == [] and [one["title"] for one in found["parts"]] == ["header"]


def test_damage_is_shown_and_control_characters_are_not_written(
    queue: isthmus.Queue, name: str
) -> None:
    queue.clear()
    queue.put_many(["\x1b[2Jone", "two", "three"])
    memory = Memory(name, 8192)
    (first, second, _) = (one.record.position for one in isthmus.inspect.dump(name).messages)
    memory.change(second, checked=False, size=1 << 40)
    text = dumped(name)
    memory.change(second, checked=False, size=3)
    memory.close()
    assert "\x1b" not in text and r"'\x1b[2Jone'" in text and "'three'" in text
    row = next(line for line in text.splitlines() if "damaged" in line)
    assert row.split()[:2] == ["?", "-"] and "its check is wrong" in row
    assert f"the record at position {second}, byte " in text.partition("Problems")[2]
    assert first != second


def test_the_payload_of_a_message_goes_into_a_file(
    queue: isthmus.Queue, name: str, tmp_path: Path
) -> None:
    queue.put(payload := os.urandom(1000))
    assert dumped(name, "--start", "20", "--output", str(tmp_path / "m")) == ""
    assert (tmp_path / "m").read_bytes() == payload
    assert "--start NUMBER" in refused(name, "--output", "x")


def test_memory_of_others_is_shown_as_bytes(name: str) -> None:
    path = Path("/dev/shm", name)
    with path.open("wb") as file:
        file.truncate(1 << 20)
        os.pwrite(file.fileno(), b"hello", 8)
    text = dumped(f"posix:{name}")
    assert "00000000  00 00 00 00 00 00 00 00  68 65 6c 6c 6f" in text
    assert "1.0 MiB (1048576 bytes), of which 4.0 KiB were ever written" in text
    text = dumped(f"posix:{name}", "--bytes", "0x1000+0x2000")
    assert "00001000  8192 bytes that were never written: zeros" in text
    path.unlink()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--records", "many"), "neither a number nor all"),
        (("--start", "later"), "is not oldest, newest or the number"),
        (("--bytes", "12"), "START-END or START+SIZE"),
        (("--section", "tail"), "--section"),
    ],
)
def test_wrong_usage_is_told(words: tuple[str, ...], why: str) -> None:
    assert why in refused("anything", *words)


@pytest.mark.slow
def test_as_a_process_it_writes_plain_columns_and_says_what_is_missing(
    queue: isthmus.Queue, name: str
) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-P", "-m", "isthmus", "dump", *words]
        return subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)

    queue.put(b"\n\x80")
    done = run(name)
    assert done.returncode == 0 and b"\x1b" not in done.stdout and not done.stderr
    assert b"{'job': 19}\n" in done.stdout and b"More:" not in done.stdout
    done = run(name, "--start", "20", "--output", "-")
    assert (done.returncode, done.stdout) == (0, b"\n\x80")
    done = run(f"{name}-none")
    assert done.returncode == 1 and done.stderr.startswith(b"isthmus: there is nothing called")
