"""`isthmus completion`, and what it completes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from click.shell_completion import CompletionItem, ShellComplete
from shell import ENVIRONMENT, PATIENCE, isthmus, ran
from untouched import untouched

from isthmus import Array, Publisher, Queue
from isthmus.cli.app import app
from isthmus.cli.bash import Bash
from isthmus.cli.names import names


def test_names_are_those_of_the_kinds_that_are_asked_for(name: str) -> None:
    with (
        Queue(f"{name}/queue") as queue,
        Publisher(f"{name}/topic") as topic,
        Array(f"{name}/array", (3,), "u1") as array,
    ):
        with untouched(*Path("/dev/shm").glob(f"isthmus.{name}*")):
            assert names(name) == [array.name, queue.name, topic.name]
            assert names(name, frozenset({"queue"})) == [queue.name]
        assert names(f"{name}/t", frozenset({"queue", "topic"})) == [topic.name]
        assert names(f"{name}/none") == []
        array.unlink()


def test_what_is_no_object_is_no_name(name: str) -> None:
    for content in (b"", b"short", bytes(100)):
        with open(f"/dev/shm/isthmus.{name}", "wb") as file:
            file.write(content)
        assert names(name, frozenset({"queue", "topic"})) == []
        assert names(name) == [name]
    os.unlink(f"/dev/shm/isthmus.{name}")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_is_printed_is_for_that_shell(shell: str) -> None:
    done = isthmus("completion", shell)
    assert done.code == 0
    assert f"_ISTHMUS_COMPLETE={shell}_complete" in done.text
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=done.output, check=True, timeout=PATIENCE)


def test_a_shell_that_is_not_known_is_wrong_usage() -> None:
    assert isthmus("completion", "tcsh").code == 2


def completed(*words: str) -> list[str]:
    """What a shell would offer for the last of the words."""
    made = ShellComplete(app, {}, "isthmus", "_ISTHMUS_COMPLETE")
    return [one.value for one in made.get_completions(list(words[:-1]), words[-1])]


def test_commands_options_and_objects_are_completed(name: str) -> None:
    with Queue(f"{name}/queue") as queue, Publisher(f"{name}/topic") as topic:
        assert completed("p") == ["put", "pub"]
        assert completed("get", "--time") == ["--timeout"]
        for command in ("put", "get"):
            assert completed(command, name) == [queue.name]
        for command in ("pub", "sub"):
            assert completed(command, name) == [topic.name]
        for command in ("tail", "info", "dump", "rm", "repair"):
            assert completed(command, name) == [queue.name, topic.name], command
        assert completed("sub", topic.name, "--start", "o") == ["oldest"]


def test_what_goes_wrong_while_a_word_is_completed_is_no_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> list[str]:
        raise OSError("no such directory")

    monkeypatch.setattr("isthmus.cli.names.names", broken)
    assert completed("get", "x") == []


@pytest.mark.parametrize(
    ("typed", "value", "offered"),
    [
        ("get ", "a b", r"a\ b"),
        (r"get a\ ", "a b", r"a\ b"),
        ("get a", "a/ü$`'\";*", r"a/ü\$\`\'\"\;\*"),
        ('get "a', 'a $x"', 'a \\$x\\"'),
        ("get 'a", "a b$", "a b$"),
        # bash replaces what comes after these.
        ("get a:", "a:b c", r"b\ c"),
        ("get a=b:c", "a=b:cd", "cd"),
        (r"get a\ b:", "a b:c", "c"),
        ("get 'a b:", "a b:c", "a b:c"),
        ("get --owner=r", "root", "root"),
        ("get --ti", "--timeout", "--timeout"),
    ],
)
def test_bash_is_offered_what_it_can_put_into_the_line(
    typed: str, value: str, offered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMP_LINE", f"isthmus {typed}")
    monkeypatch.delenv("COMP_WORDBREAKS", raising=False)
    made = Bash(app, {}, "isthmus", "_ISTHMUS_COMPLETE")
    arguments, word = made.get_completion_args()
    assert arguments == ["get"]
    assert value.startswith(word.removeprefix("--owner="))
    assert made.format_completion(CompletionItem(value)) == f"plain,{offered}"


def test_files_are_completed_by_the_shell() -> None:
    made = ShellComplete(app, {}, "isthmus", "_ISTHMUS_COMPLETE")
    for words in (["put", "x", "--file"], ["get", "x", "--output"]):
        assert [one.type for one in made.get_completions(words, "a")] == ["file"]


@pytest.mark.slow
def test_a_shell_asks_by_starting_the_command(name: str) -> None:
    asked = {"_ISTHMUS_COMPLETE": "bash_complete", "COMP_LINE": f"isthmus get {name}"}
    with Queue(name):
        done = ran(env=ENVIRONMENT | asked)
    assert (done.code, done.text, done.errors) == (0, f"plain,{name}\n", "")
