"""What examples/channel/README.md says is so."""

from __future__ import annotations

import doctest
import importlib.util
import re
import subprocess
import sys

import pytest
from channels import PATIENCE
from example_programs import EXAMPLES

PROGRAMS = sorted(path.name for path in EXAMPLES.glob("*.py"))


def test_the_readme_names_every_program_and_every_form() -> None:
    text = (EXAMPLES / "README.md").read_text()
    assert sorted(set(re.findall(r"`(\w+\.py)`", text))) == PROGRAMS
    table = text.partition("## What a form cannot do")[2]
    rows = set(re.findall(r"`(\w+):`", table)) - {"pipe"}
    assert rows == {"file", "fifo", "signal", "shm", "unix", "seqpacket", "tcp", "mq", "sysv"}


@pytest.mark.slow
@pytest.mark.parametrize("program", [name for name in PROGRAMS if "s.py" not in name])
def test_each_program_starts_by_itself_and_says_how_it_is_used(program: str) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / program)],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(f"usage: {program} ")


def test_examples_in_what_they_share_show_what_they_say() -> None:
    spec = importlib.util.spec_from_file_location("lines", EXAMPLES / "lines.py")
    assert spec
    assert spec.loader
    lines = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lines)
    failed, tried = doctest.testmod(lines)
    assert (failed, tried) == (0, 3)
