"""The classic sample in C and in Python: each half works with each other half."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
PYTHON = [sys.executable, "-P", str(EXAMPLES / "python" / "sample.py")]
SAID = "child wrote 0xdbeebee\n"
PATIENCE = 60.0

Samples = dict[str, list[str]]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    """How to call the sample, by language."""
    compiler = shutil.which("cc") or pytest.skip("no C compiler")
    binary = tmp_path_factory.mktemp("c") / "sample"
    source = EXAMPLES / "c" / "sample.c"
    subprocess.run([compiler, "-std=c11", "-o", str(binary), str(source), "-lrt"], check=True)
    return {"c": [str(binary)], "python": PYTHON}


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.mark.parametrize("language", ["c", "python"])
def test_the_sample_forks_its_own_child(language: str, samples: Samples, name: str) -> None:
    done = run(*samples[language], "--name", name)
    assert (done.returncode, done.stdout, done.stderr) == (0, SAID, "")


@pytest.mark.parametrize("parent", ["c", "python"])
@pytest.mark.parametrize("child", ["c", "python"])
def test_a_parent_reads_what_a_child_wrote(
    parent: str, child: str, samples: Samples, name: str
) -> None:
    done = run(*samples[parent], "parent", name, "--", *samples[child], "child", name)
    assert (done.returncode, done.stdout, done.stderr) == (0, SAID, "")


@pytest.mark.parametrize("parent", ["c", "python"])
def test_a_parent_whose_child_fails_says_so_and_cleans_up(
    parent: str, samples: Samples, name: str
) -> None:
    done = run(*samples[parent], "parent", name, "--", sys.executable, "-c", "raise SystemExit(3)")
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize("child", ["c", "python"])
def test_a_child_without_a_segment_fails(child: str, samples: Samples, name: str) -> None:
    done = run(*samples[child], "child", name)
    assert done.returncode == 1
    assert name in done.stderr


@pytest.mark.parametrize("parent", ["c", "python"])
def test_a_name_that_is_taken_is_left_alone(parent: str, samples: Samples, name: str) -> None:
    path = Path("/dev/shm", name)
    path.write_bytes(b"somebody's")
    try:
        done = run(*samples[parent], "--name", name)
        assert (done.returncode, done.stdout) == (1, "")
        assert path.read_bytes() == b"somebody's"
    finally:
        os.unlink(path)


@pytest.mark.parametrize("language", ["c", "python"])
@pytest.mark.parametrize("arguments", [["parent"], ["child"], ["nonsense"], ["parent", "x", "--"]])
def test_wrong_usage_is_told(language: str, arguments: list[str], samples: Samples) -> None:
    done = run(*samples[language], *arguments)
    assert done.returncode == 2
    assert "child NAME" in done.stderr
