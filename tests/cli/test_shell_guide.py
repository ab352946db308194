"""What the guide for the shell shows is what happens."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from shell import isthmus

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "shell.md"


def test_the_session_at_the_start_of_the_guide_goes_as_it_is_shown(name: str) -> None:
    # Under a name of our own: others may read the guide at the same time.
    [session] = re.findall(r"^```text\n(\$ .*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    steps = re.split(r"^\$ ", session.replace("guide/jobs", name), flags=re.MULTILINE)[1:]
    assert len(steps) > 5
    code = 0
    for step in steps:
        line, _, expected = step.partition("\n")
        if line == "echo $?":
            assert f"{code}\n" == expected
            continue
        done = isthmus(*shlex.split(line)[1:])
        assert done.text + done.errors == expected, line
        code = done.code
    assert code == 0
