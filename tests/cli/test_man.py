"""The manual page says what the commands say, and can be shown."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from isthmus.cli.app import _COMMANDS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "man" / "isthmus.1"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("man", ROOT / "tools" / "man.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_the_page_is_what_the_commands_say_now(tool: ModuleType) -> None:
    first = PAGE.read_text().partition("\n")[0]
    assert first == tool.mark(), "run `python tools/man.py`, and commit man/isthmus.1"


def test_what_means_something_in_markup_is_shown_as_it_is(tool: ModuleType) -> None:
    assert tool._escaped("a*b |x| c_ `code_` \\n") == "a\\*b \\|x\\| c\\_ ``code_`` \\\\n"
    assert tool._escaped("an `odd one") == "an 'odd one"
    text = tool._text("First\nline.\n\n\b\nExamples:\n    isthmus x *\n\nLast.")
    assert text == "First line.\n\nExamples:\n\n::\n\n        isthmus x *\n\nLast.\n"


def test_man_shows_it_without_a_warning_and_with_all_commands() -> None:
    if shutil.which("groff") is None:
        pytest.skip("there is no groff")
    done = subprocess.run(
        ["groff", "-t", "-K", "utf-8", "-man", "-Tutf8", "-rLL=100n", "-ww", str(PAGE)],
        capture_output=True, text=True, timeout=60, check=False,
        env={"PATH": "/usr/bin:/bin", "GROFF_NO_SGR": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    # Bold is written as a letter over itself.
    shown = re.sub(".\b", "", done.stdout)
    for name in _COMMANDS:
        assert f"isthmus {name} [OPTIONS]" in shown, name
    assert "EXIT STATUS" in shown
