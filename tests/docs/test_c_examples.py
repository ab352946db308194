"""The C programs of examples/c and of the guide compile without a warning and do what they say."""

from __future__ import annotations

import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from c_programs import PATIENCE, Run, compile_program, fails, finish, start

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "c"
GUIDE = ROOT / "docs" / "guide" / "c.md"
SHM = Path("/dev/shm")
PAGE = 4096

# A C block of the guide, and the output that follows it.
BLOCKS = re.findall(
    r"^```c\n(.*?)^```\n\n```text\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL
)


def test_all_programs_are_known_to_the_readme(programs: dict[str, Path]) -> None:
    text = (EXAMPLES / "README.md").read_text()
    assert set(re.findall(r"^\| `(\w+)\.c`", text, re.MULTILINE)) == set(programs)


# ---- The guide ------------------------------------------------------------------------


def test_the_guide_has_programs_and_each_has_its_output() -> None:
    assert len(BLOCKS) == GUIDE.read_text().count("```c\n") > 2


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_program_of_the_guide_prints_what_the_guide_says(
    number: int, cc: str, core: Path, tmp_path: Path, name: str
) -> None:
    text, expected = BLOCKS[number]
    source = tmp_path / "program.c"
    source.write_text(text)
    include = ["-I", str(ROOT / "include")]
    program = compile_program(cc, source, tmp_path / "program", *include, str(core))
    done = subprocess.run(
        [program, name],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={"LC_ALL": "C"},
    )
    assert (done.returncode, done.stdout) == (0, expected), done.stderr


def test_the_public_headers_are_good_cplusplus(tmp_path: Path) -> None:
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("there is no C++ compiler (c++)")
    source = tmp_path / "program.cc"
    source.write_text(
        "#include <isthmus/isthmus.h>\n"
        "int main() { struct isthmus_attach_options o = ISTHMUS_ATTACH_DEFAULT;\n"
        "return o.readonly; }\n"
    )
    command = [compiler, "-std=c++11", "-Wall", "-Wextra", "-Werror", "-I", str(ROOT / "include")]
    subprocess.run([*command, "-fsyntax-only", str(source)], check=True, timeout=PATIENCE)


# ---- sample ---------------------------------------------------------------------------


def test_sample_prints_what_its_child_wrote(run: Run, name: str) -> None:
    done = run("sample", "--name", name)
    assert (done.returncode, done.stdout, done.stderr) == (0, "child wrote 0xdbeebee\n", "")
    assert not (SHM / name).exists()


def test_both_halves_of_sample_work_in_processes_of_their_own(
    run: Run, name: str, programs: dict[str, Path]
) -> None:
    done = run("sample", "parent", name, "--", programs["sample"], "child", name)
    assert (done.returncode, done.stdout, done.stderr) == (0, "child wrote 0xdbeebee\n", "")


def test_the_parent_of_sample_makes_one_page_for_everybody_despite_the_umask(
    run: Run, name: str, programs: dict[str, Path]
) -> None:
    look = f'stat -c "%s %a" /dev/shm/{name} >&2; exec {programs["sample"]} child {name}'
    shell = 'umask 077; exec "$@"'
    done = subprocess.run(
        ["sh", "-c", shell, "sh", programs["sample"], "parent", name, "--", "sh", "-c", look],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stdout == "child wrote 0xdbeebee\n", done.stderr
    size, mode = done.stderr.split()
    assert (int(size) % PAGE, mode) == (0, "666")


def test_the_child_of_sample_stores_the_number_at_the_start(run: Run, name: str) -> None:
    segment = SHM / name
    segment.write_bytes(b"\xff" * 64)
    assert run("sample", "child", f"/{name}").returncode == 0
    width = struct.calcsize("@L")
    assert segment.read_bytes() == struct.pack("@L", 0xDBEEBEE) + b"\xff" * (64 - width)
    segment.unlink()


def test_the_child_of_sample_says_what_is_wrong(run: Run, name: str) -> None:
    fails(run("sample", "child", name), name, "No such file")
    fails(run("sample", "child", "a/b"), "not a name")
    (SHM / name).write_bytes(b"123")
    fails(run("sample", "child", name), "3 bytes")
    assert (SHM / name).read_bytes() == b"123"
    (SHM / name).unlink()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["false"], ["status 1"]),
        (["sh", "-c", "kill -KILL $$"], ["signal 9"]),
        (["/nowhere/at-all"], ["/nowhere/at-all", "No such file"]),
    ],
    ids=["fails", "is killed", "does not exist"],
)
def test_a_child_that_fails_is_an_error_and_leaves_nothing(
    run: Run, name: str, command: list[str], words: list[str]
) -> None:
    fails(run("sample", "parent", name, "--", *command), *words)
    assert not (SHM / name).exists()


def test_a_name_that_is_taken_is_an_error_and_stays(run: Run, name: str) -> None:
    (SHM / name).write_bytes(b"mine")
    fails(run("sample", "--name", name), name, "File exists")
    assert (SHM / name).read_bytes() == b"mine"
    (SHM / name).unlink()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_sample_ended_by_a_signal_removes_the_segment(
    number: signal.Signals, name: str, programs: dict[str, Path]
) -> None:
    # The child says that it is there, so the parent is waiting for it by then or soon.
    sample = str(programs["sample"])
    command = [sample, "parent", name, "--", "sh", "-c", "echo there; exec sleep 60"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "there\n"
        started = time.monotonic()
        parent.send_signal(number)
        _, errors = parent.communicate(timeout=PATIENCE)
        assert time.monotonic() - started < 30
    assert parent.returncode == 1
    assert f"signal {number.value}" in errors
    assert not (SHM / name).exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--name"],
        ["--help"],
        ["child"],
        ["parent", "x"],
        ["parent", "x", "--"],
        ["parent", "x", "y", "z"],
    ],
)
def test_wrong_usage_of_sample_says_how(run: Run, arguments: list[str]) -> None:
    fails(run("sample", *arguments), "usage: sample", status=2)


def test_sample_refuses_names_that_cannot_be(run: Run) -> None:
    for bad in ("", "/", "a/b", "x" * 300):
        fails(run("sample", "--name", bad), "not a name")


def test_output_that_cannot_be_written_is_an_error(programs: dict[str, Path], name: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [programs["sample"], "--name", name],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 1
    assert "standard output" in done.stderr


# ---- Arrays -----------------------------------------------------------------------------


def test_an_array_made_by_one_program_is_summed_by_another(run: Run, name: str) -> None:
    name = f"{name}/with a slash"
    assert run("array_make", name, 30, 40).returncode == 0
    done = run("array_sum", name)
    assert (done.returncode, done.stdout) == (0, f"{sum(range(1200))}\n")
    fails(run("array_make", name, 1, 1), "File exists")
    assert run("array_make", "--remove", name).returncode == 0
    fails(run("array_sum", name), "no array of that name")
    fails(run("array_make", "--remove", name), "No such file")


def test_an_array_without_elements_sums_to_zero(run: Run, name: str) -> None:
    assert run("array_make", name, 0, 7).returncode == 0
    assert run("array_sum", name).stdout == "0\n"
    assert run("array_make", "--remove", name).returncode == 0


def test_array_sum_says_what_it_found_instead(run: Run, name: str) -> None:
    segment = SHM / f"isthmus.{name}"
    segment.write_bytes(b"")
    fails(run("array_sum", name), "still being made")
    segment.write_bytes(b"x" * PAGE)
    fails(run("array_sum", name), "not made by isthmus")
    segment.unlink()

    assert run("array_make", name, 2, 2).returncode == 0
    whole = segment.read_bytes()
    for place, byte, words in [
        (8, 99, "incompatible version"),
        (12, 99, "not an array"),
        (256 + 16, 99, "damaged"),
        (832 + 3, ord("4"), '"<f4"'),
    ]:
        segment.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
        fails(run("array_sum", name), words)
    segment.write_bytes(whole[:-1])
    fails(run("array_sum", name), "damaged")
    segment.unlink()


@pytest.mark.parametrize(
    "arguments", [[], ["x"], ["x", "1"], ["x", "a", "1"], ["x", "-1", "1"], ["x", "1", "1e3"]]
)
def test_wrong_usage_of_array_make_says_how(run: Run, arguments: list[str]) -> None:
    fails(run("array_make", *arguments), "usage: array_make", status=2)


def test_array_make_refuses_what_cannot_be(run: Run, name: str) -> None:
    fails(run("array_make", name, 2**62, 4), "File too large")
    fails(run("array_make", name, 2**32, 2**32), "File too large")
    fails(run("array_make", "", 1, 1), "Invalid argument")
    fails(run("array_sum"), "usage: array_sum", status=2)


# ---- lock_counter -----------------------------------------------------------------------


@pytest.fixture
def counters(programs: dict[str, Path], run: Run, name: str) -> Iterator[dict[str, list[str]]]:
    """The program in each language; what they share is removed afterwards."""
    python = ROOT / "examples" / "python" / "lock_counter.py"
    commands = {
        "C": [str(programs["lock_counter"]), name],
        "Python": [sys.executable, "-P", str(python), name],
    }
    yield commands
    assert run("lock_counter", name, "remove").returncode == 0


def total(number: int) -> str:
    return f"hits {number}, under the named lock {number}, under the placed lock {number}\n"


def test_c_and_python_count_together_and_lose_nothing(counters: dict[str, list[str]]) -> None:
    each = 3000
    processes = [start(command, each) for command in counters.values() for _ in range(2)]
    assert [finish(process) for process in processes] == [""] * 4
    for command in counters.values():
        assert finish(start(command, "show")) == total(4 * each)


@pytest.mark.parametrize("killed", ["C", "Python"])
@pytest.mark.parametrize("next_one", ["C", "Python"])
def test_a_counter_that_is_killed_with_the_locks_is_reported_and_holds_up_nobody(
    killed: str, next_one: str, counters: dict[str, list[str]]
) -> None:
    assert finish(start(counters[next_one], 5)) == ""
    holder = start(counters[killed], "hold")
    assert holder.stdout is not None
    assert holder.stdout.readline() == "holding both locks\n"
    # Some wait while the owner dies, one comes when it is dead; only the first is told.
    waiting = [start(counters[next_one], 5) for _ in range(2)]
    holder.kill()
    holder.communicate(timeout=PATIENCE)
    late = start(counters[next_one], 5)
    told = "".join(finish(process) for process in (*waiting, late))
    reports = re.findall(r"^the last owner of the (\w+) lock died; the number is \d+$", told, re.M)
    assert sorted(reports) == ["named", "placed"]
    assert finish(start(counters[killed], "show")) == total(20)


@pytest.mark.parametrize("arguments", [[], ["x"], ["x", "-1"], ["x", "shown"], ["x", "1", "2"]])
def test_wrong_usage_of_lock_counter_says_how(run: Run, arguments: list[str]) -> None:
    fails(run("lock_counter", *arguments), "usage: lock_counter", status=2)


def test_lock_counter_says_what_is_in_its_way(run: Run, name: str) -> None:
    (SHM / name).write_bytes(b"x" * PAGE)
    fails(run("lock_counter", name, "1"), name)
    (SHM / name).unlink()
    fails(run("lock_counter", "x" * 251, "1"), "too long")
    assert not (SHM / ("x" * 251)).exists()


# ---- segment_peek -------------------------------------------------------------------------


def test_segment_peek_prints_bytes_of_any_segment(run: Run, name: str) -> None:
    segment = SHM / name
    segment.write_bytes(bytes(range(40)))
    assert run("segment_peek", name).stdout == bytes(range(16)).hex(" ") + "\n"
    assert run("segment_peek", f"/{name}", 3).stdout == "00 01 02\n"
    assert bytes.fromhex(run("segment_peek", name, 1000).stdout) == bytes(range(40))
    assert run("segment_peek", name, 0).stdout == ""
    segment.write_bytes(b"")
    assert run("segment_peek", name).stdout == ""
    segment.unlink()
    fails(run("segment_peek", name), name, "No such file")
    fails(run("segment_peek", "x" * 300), "too long")


@pytest.mark.parametrize("arguments", [[], ["x", "y"], ["x", "-1"], ["x", ""], ["x", "1", "2"]])
def test_wrong_usage_of_segment_peek_says_how(run: Run, arguments: list[str]) -> None:
    fails(run("segment_peek", *arguments), "usage: segment_peek", status=2)
