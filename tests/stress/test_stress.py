"""Some seconds of what `make stress` does for minutes."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SECONDS = 4
# One that hangs says so itself, after the patience that it is given.
PATIENCE = 60
FLAGS = ["-std=c11", "-O2", "-g", "-D_GNU_SOURCE", "-DISTHMUS_KILL_POINTS", "-pthread"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cc = shutil.which("cc")
    if cc is None:
        pytest.skip("there is no C compiler (cc)")
    path = tmp_path_factory.mktemp("stress") / "stress"
    core = ROOT / "src" / "core"
    include = ["-I", str(ROOT / "include"), "-I", str(core)]
    sources = [*(ROOT / "tests" / "stress").glob("*.c"), *core.glob("*.c")]
    subprocess.run([cc, *FLAGS, *include, "-o", path, *sources], check=True)
    return path


def test_everything_holds_while_processes_are_killed(program: Path, name: str) -> None:
    done = subprocess.run(
        [program, "--seconds", str(SECONDS), "--patience", str(PATIENCE), "--name", name],
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"^operations (\d+), deaths (\d+), .*takeovers (\d+)$", done.stdout, re.M)
    assert found is not None, done.stdout
    operations, deaths, takeovers = map(int, found.groups())
    # On the slowest machine there is still something to see.
    assert operations > 100
    assert deaths > 5
    assert takeovers > 0
    for kind, counts in [
        ("queues", ["put", "got", "leased"]),
        ("topics", ["published", "received"]),
    ]:
        (line,) = re.findall(rf"^{kind}: (.*)$", done.stdout, re.MULTILINE)
        for count in counts:
            assert int(re.findall(rf"{count} (\d+)", line)[0]) > 0, line


@pytest.mark.parametrize(
    "arguments", [["--seconds"], ["--what", "1"], ["--processes", "1"], ["--processes", "33"]]
)
def test_wrong_usage_says_how(program: Path, arguments: list[str]) -> None:
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage: stress" in done.stderr
