"""``isthmus bench``: it does what it is asked for, and says what cannot be before it measures."""

from __future__ import annotations

import io
import json
import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from bench_results import results, without
from rich.console import Console

from isthmus import bench
from isthmus.bench.results import Results
from isthmus.cli import app, bench as command_module

FEW = results(only=["c-futex", "shm", "pipe"], sizes=[8, 64], modes=("blocking",))
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Command]:
    """Call it in this process: exit code, output, errors, their lines joined."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> tuple[int, str, str]:
        code = app.run(["bench", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, " ".join(err.split())

    yield call
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bench.Settings]:
    """Nothing is measured: what would have been, and in no time."""
    calls: list[bench.Settings] = []

    def run(settings: bench.Settings, progress: object) -> Results:
        calls.append(settings)
        return FEW

    monkeypatch.setattr(bench, "run", run)
    return calls


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "kept.json"
    path.write_text(FEW.to_json(), "utf-8")
    return path


def test_a_run_ends_with_tables_and_the_closing_paragraph(command: Command) -> None:
    code, out, err = command()
    assert (code, err) == (0, "")
    assert out.index("Round trip of 8 B, blocking") < out.index("Which form suits")
    assert "Low latency without spinning: shared memory." in out
    assert "Measured in 25.1 s; 5 round trips and 6 streams, 2 left out, 0 failed." in out


def test_every_option_reaches_the_measurement(
    command: Command, asked: list[bench.Settings]
) -> None:
    core = min(os.sched_getaffinity(0))
    command(
        "--quick", "--form", "shm", "--form", "pipe", "--rival", "pyzmq", "--no-floors",
        "--sizes", "64,4 KiB", "--measure", "latency", "--measure", "idle", "--cores", core,
        "--rounds", 5,
    )  # fmt: skip
    command("--no-rivals")
    command()
    assert asked == [
        bench.Settings(
            quick=True, forms=("shm", "pipe"), rivals=("pyzmq",), floors=(), sizes=(64, 4096),
            measures=("latency", "idle"), cores=(core,), rounds=5,
        ),
        bench.Settings(rivals=()),
        bench.Settings(),
    ]  # fmt: skip


@pytest.mark.slow
def test_all_that_can_be_written_is_written(command: Command, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    one, two, three = tmp_path / "a.json", tmp_path / "b.html", tmp_path / "new" / "plots"
    code, out, _ = command("--json", one, "--html", two, "--plots", three)
    assert code == 0
    assert Results.from_json(one.read_text("utf-8")) == FEW
    assert two.read_text("utf-8").startswith("<!DOCTYPE html>")
    names = {path.name for path in three.iterdir()}
    assert {"latency-blocking.png", "latency-blocking.svg", "processor.svg"} <= names
    assert (three / "processor.png").read_bytes().startswith(b"\x89PNG")
    for path in (one, two, three):
        assert f"wrote {path}" in out
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", "b.html", "new"}


def test_a_run_that_was_kept_is_shown_without_measuring(
    command: Command, kept: Path, tmp_path: Path, asked: list[bench.Settings]
) -> None:
    measured, shown = command("--json", tmp_path / "x"), command("--from", kept)
    assert measured[0] == shown[0] == 0
    assert shown[1] == measured[1].replace(f"wrote {tmp_path / 'x'}\n", "")
    assert len(asked) == 1


def test_figures_are_kept_though_the_tables_cannot_be_shown(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def gone(*_: object) -> NoReturn:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(command_module.tables, "show", gone)
    path = tmp_path / "kept.json"
    assert command("--json", path)[0] == 1
    assert Results.from_json(path.read_text("utf-8")) == FEW


def test_a_kept_run_may_have_passed_through_an_editor(command: Command, kept: Path) -> None:
    kept.write_text(kept.read_text("utf-8"), "utf-8-sig")
    assert command("--from", kept)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--quick"], "no use for --quick"),
        (["--form", "shm"], "no use for --form"),
        (["--rounds", "3"], "no use for --rounds"),
        (["--no-floors"], "no use for --no-floors"),
    ],
)
def test_what_only_measuring_needs_makes_no_sense_with_a_kept_run(
    command: Command, kept: Path, arguments: list[str], message: str
) -> None:
    code, out, err = command("--from", kept, *arguments)
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rival", "zeroq", "--no-rivals"], "either, not both"),
        (["--sizes", "64,much"], "'much' is not a size"),
        (["--sizes", ""], "is not a size"),
        (["--sizes", "2 GiB"], "is not from 1 byte to 1 GiB"),
        (["--cores", "a"], "'a' is not a list of numbers like 0,1"),
        (["--cores", "99999"], "may not use core 99999"),
        (["--rounds", "0"], "not in the range"),
        (["--measure", "speed"], "'speed' is not one of"),
        (["--json", "/nowhere/at/all.json"], "cannot write there: No such file or directory"),
        (["--json", "/"], "is a directory"),
        (["--json", "/proc/x.json"], "cannot write there: "),
        (["--json", ""], "'--json': the name is empty"),
        (["--plots", ""], "'--plots': the name is empty"),
        (["--plots", "/dev/null"], "/dev/null is not a directory"),
        (["--plots", "/proc/x"], "cannot write there: "),
        (["--json", "/tmp/x", "--html", "/tmp/../tmp/x"], "not into the same file"),
        (["--compare", "/nowhere.json"], "/nowhere.json: No such file or directory"),
        (["--from", "/"], "/: Is a directory"),
        (["more"], "unexpected extra argument"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_measured(
    command: Command, asked: list[bench.Settings], arguments: list[str], message: str
) -> None:
    pytest.importorskip("matplotlib")
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert not asked


def test_a_contender_that_there_is_not_is_told(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from isthmus.bench.measure import runner

    monkeypatch.setattr(bench, "run", runner.run)
    code, out, err = command("--form", "pigeon")
    assert (code, out) == (2, "")
    assert "pigeon" in err
    assert "shm" in err


@pytest.mark.parametrize("option", ["--compare", "--from"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "does not hold results of `isthmus bench --json`"),
        ("\ud800", "does not hold results of `isthmus bench --json` (not text)"),
        (FEW.to_json()[:-300], "is cut off in line"),
        (FEW.to_json().replace('"version": 1,', '"version": 9,', 1), "is of version 9"),
    ],
)
def test_a_file_that_is_no_result_is_told(
    command: Command, tmp_path: Path, asked: list[bench.Settings], option: str, text: str,
    message: str,
) -> None:  # fmt: skip
    path = tmp_path / "x.json"
    path.write_text(text, "utf-8", errors="surrogatepass")
    code, out, err = command(option, path)
    assert (code, out) == (2, "")
    assert message in err
    assert str(path) in err
    assert not asked


@pytest.mark.parametrize(
    ("arguments", "missing", "message"),
    [
        (["--html"], {"matplotlib", "jinja2"}, "--html needs matplotlib and jinja2, not installed"),
        (["--html"], {"jinja2"}, "--html needs jinja2, not installed"),
        (["--plots"], {"matplotlib"}, "--plots needs matplotlib, not installed"),
    ],
)
def test_a_missing_extra_is_told_with_how_to_have_it(
    command: Command, monkeypatch: pytest.MonkeyPatch, asked: list[bench.Settings],
    tmp_path: Path, arguments: list[str], missing: set[str], message: str,
) -> None:  # fmt: skip
    there = command_module.find_spec
    monkeypatch.setattr(
        command_module, "find_spec", lambda name: None if name in missing else there(name)
    )
    code, out, err = command(*arguments, tmp_path / "x")
    assert (code, out) == (1, "")
    assert message in err
    assert "pip install 'isthmus[plot]'" in err
    assert not asked
    assert command("--json", tmp_path / "x")[0] == 0


def test_what_has_changed_is_told(command: Command, tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    slow = results(only=["shm", "pipe"], sizes=[8, 64], modes=("blocking",), scale=2.0)
    old.write_text(slow.to_json(), "utf-8")
    code, out, _ = command("--compare", old)
    assert code == 0
    assert "figures compared: 0 worse, " in out
    # The old run may as well be where the new one goes.
    code, again, _ = command("--compare", old, "--json", old)
    assert "figures compared: 0 worse, " in again
    assert json.loads(old.read_text("utf-8"))["seconds"] == FEW.seconds


def test_other_packages_are_listed_with_how_to_have_them(
    command: Command, asked: list[bench.Settings]
) -> None:
    code, out, _ = command("--rivals")
    assert code == 0
    for id in ("mp-pipe", "posix-ipc-mq", "faster-fifo", "pyzmq", "iceoryx2", "zeroq"):
        line = next(line for line in out.splitlines() if f" {id} " in line)
        assert line.endswith("installed") or " pip install " in line
    assert not asked


def test_the_names_of_contenders_fit_into_tables_and_sentences() -> None:
    for kind in bench.known().values():
        for one in kind:
            assert len(one.label) <= 24
            assert "," not in one.label


def test_ctrl_c_ends_it_with_a_message_and_no_file(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def run(settings: bench.Settings, progress: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "run", run)
    code, out, err = command("--json", tmp_path / "x.json")
    assert (code, out, err) == (130, "", "isthmus: interrupted")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("partial", [FEW, without(FEW, "latency", "throughput"), None])
def test_what_was_measured_before_a_participant_died_is_not_lost(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, partial: Results | None
) -> None:
    def run(settings: bench.Settings, progress: object) -> NoReturn:
        error = bench.ParticipantLost(
            "the sender of pipe was killed", contender="pipe", role="sender", pid=7
        )
        error.results = partial
        raise error

    monkeypatch.setattr(bench, "run", run)
    path = tmp_path / "x.json"
    code, out, err = command("--json", path)
    assert (code, err) == (1, "isthmus: the sender of pipe was killed")
    assert path.exists() == ("Which form suits" in out) == (partial is FEW)


def test_a_file_is_replaced_whole_or_not_at_all(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "x.json"
    path.write_text("before")

    def full(*_: object) -> NoReturn:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        code, out, err = command("--json", path)
    assert code == 1
    assert f"No space left on device: '{path}'" in err
    # What took minutes is shown all the same.
    assert "Which form suits" in out
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_keeps_its_mode_a_link_its_target_and_a_device_its_kind(
    command: Command, tmp_path: Path
) -> None:
    path, link, new = tmp_path / "x.json", tmp_path / "link", tmp_path / "new"
    path.write_text("before")
    path.chmod(0o640)
    link.symlink_to(path)
    mask = os.umask(0o027)
    try:
        for target in (link, new, "/dev/null"):
            assert command("--json", target)[0] == 0
    finally:
        os.umask(mask)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.read_text("utf-8") == FEW.to_json()
    assert stat.S_IMODE(new.stat().st_mode) == 0o640
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_bar_shows_how_far_it_is_without_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()

    def console(**_: Any) -> Console:
        return Console(file=file, force_terminal=True, width=80, legacy_windows=False)

    monkeypatch.setattr(command_module, "Console", console)
    threads = threading.active_count()
    with command_module._progress() as step:
        step(bench.Progress(3, 40, 0.25, "pipe", "throughput, 64 B [x]", 1, 5, 2.0))
        assert threading.active_count() == threads
    assert " 25%" in file.getvalue()
    assert "round 1 of 5 · pipe: throughput, 64 B [x]" in file.getvalue()


def test_a_bar_ends_with_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(
        command_module, "Console", lambda **_: Console(file=file, force_terminal=True, width=80)
    )
    with command_module._progress() as step:
        step(bench.Progress(40, 40, 1.0, "", "", 5, 5, 2.0))
    assert "100%" in file.getvalue()
    # The cursor is shown again.
    assert file.getvalue().rindex("\x1b[?25h") > file.getvalue().rindex("\x1b[?25l")
