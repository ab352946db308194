"""What all commands have in common: how they explain themselves, how they end, how they start."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from shell import ENVIRONMENT, PATIENCE, command, isthmus, ran, started

from isthmus import Queue
from isthmus.cli.app import _COMMANDS

COLOUR = re.compile(rb"\x1b\[(\d+;)*(3|4|9|10)[0-7][;m]")


@pytest.mark.parametrize("name", _COMMANDS)
def test_each_command_explains_itself_with_examples_and_exit_codes(name: str) -> None:
    done = isthmus(name, "--help")
    assert (done.code, done.errors) == (0, "")
    assert f"Usage: isthmus {name}" in done.text
    examples = done.text.partition("Examples:\n")[2].partition("\n\n")[0].splitlines()
    # They are lines of their own, as they are typed.
    assert any(re.search(rf"\bisthmus {name}\b", line) for line in examples), done.text
    assert re.search(r"^ +Exit codes: 0 ", done.text, re.MULTILINE)
    assert "\x1b" not in done.text
    assert isthmus(name, "-h").text == done.text


@pytest.mark.parametrize("name", _COMMANDS)
def test_an_option_that_no_command_has_is_wrong_usage(name: str) -> None:
    done = isthmus(name, "--no-such-option")
    assert (done.code, done.output) == (2, b"")
    assert "--no-such-option" in done.errors


def test_the_command_alone_lists_all_commands_and_what_exit_codes_mean() -> None:
    alone = isthmus()
    assert alone == isthmus("--help")
    assert alone.code == 0
    assert all(re.search(rf"^  {name} ", alone.text, re.MULTILINE) for name in _COMMANDS)
    for code in ("0 done", "1 it", "2 wrong", "3 it", "130 ended", "128 + n"):
        assert code in re.sub(r"\s+", " ", alone.text)
    assert isthmus("no-such-command").code == 2


@pytest.mark.slow
def test_all_commands_start_in_a_process_and_the_first_words_load_nothing_large() -> None:
    program = """
        import contextlib, io, sys
        from isthmus.cli.app import _COMMANDS, run
        large = {"numpy", "textual", "matplotlib", "prometheus_client", "rich", "asyncio"}
        def silent(*words):
            with contextlib.redirect_stdout(io.StringIO()) as output:
                code = run(list(words))
            assert code == 0 and output.getvalue(), words
        silent("--help")
        silent("--version")
        print(sorted(large & set(sys.modules)))
        for name in ("put", "get", "pub", "sub", "completion"):
            silent(name, "--help")
        print(sorted((large - {"rich"}) & set(sys.modules)))
        for name in _COMMANDS:
            if name != "top":
                silent(name, "--help")
        print(sorted({"textual", "matplotlib"} & set(sys.modules)))
    """
    text = "\n".join(line[8:] for line in program.splitlines())
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", text],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["[]", "[]", "[]"]


def test_a_package_that_is_missing_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(module: str) -> None:
        raise ModuleNotFoundError("No module named 'textual.app'", name="textual.app")

    monkeypatch.setattr("isthmus.cli.app.importlib.import_module", missing)
    done = isthmus("top")
    assert done.code == 1
    for words in ("`isthmus top`", "textual.app", "pip install 'isthmus[cli]'"):
        assert words in done.errors


@pytest.mark.slow
def test_output_that_nobody_reads_ends_a_command_quietly(name: str) -> None:
    with Queue(name) as queue:
        queue.put("message")
        running = []
        for words in (["--help"], ["ls"], ["info", name, "--seconds", "0"], ["tail", name]):
            reader, writer = os.pipe()
            os.close(reader)
            running.append(started(*words, stdout=writer))
            os.close(writer)
        for process in running:
            with process:
                assert process.communicate(timeout=PATIENCE)[1] == b"", process.args
            assert process.returncode == 1, process.args


@pytest.mark.slow
def test_a_stream_that_is_closed_is_a_message_and_loses_nothing(name: str) -> None:
    with Queue(name) as queue:
        queue.put("message")
        for words, closed in ((["ls"], ">&-"), (["get", name], ">&-"), (["put", name], "<&-")):
            done = subprocess.run(
                ["sh", "-c", f'"$@" {closed}', "sh", *command(*words)],
                stderr=subprocess.PIPE, env=ENVIRONMENT, text=True, timeout=PATIENCE, check=False,
            )  # fmt: skip
            assert done.returncode == 1, words
            assert done.stderr == "isthmus: [Errno 9] Bad file descriptor\n", words
        assert queue.get_nowait() == "message"


@pytest.mark.slow
def test_colours_are_for_terminals_and_not_where_no_color_says_so(name: str) -> None:
    with Queue(name):
        words = ["info", name, "--seconds", "0"]
        assert b"\x1b" not in ran(*words).output
        shown = []
        for more in ({}, {"NO_COLOR": "1"}):
            master, slave = pty.openpty()
            process = subprocess.Popen(
                command(*words), stdin=slave, stdout=slave, stderr=slave, env=ENVIRONMENT | more
            )
            os.close(slave)
            shown.append(_all_of(master))
            assert process.wait(timeout=PATIENCE) == 0
        assert b"\x1b[" in shown[0]
        assert not COLOUR.search(shown[1])


def _all_of(terminal: int) -> bytes:
    pieces = []
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # EIO: the other side has closed it
            piece = b""
        if not piece:
            os.close(terminal)
            return b"".join(pieces)
        pieces.append(piece)


def test_the_guide_has_the_exit_codes_in_one_table() -> None:
    text = (Path(__file__).parents[2] / "docs" / "guide" / "shell.md").read_text()
    table = text.partition("## Exit codes")[2]
    for code in ("0", "1", "2", "3", "130", "128 + n"):
        assert f"\n| {code} |" in table, code
