"""Examples in README, docs and docstrings run, and show what they say."""

from __future__ import annotations

import doctest
import fcntl
import gc
import importlib
import os
import pkgutil
import re
import shlex
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

import isthmus

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FLAGS = doctest.ELLIPSIS
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages([str(ROOT / "src" / "isthmus")], "isthmus.")
    if "._core" not in module.name and not module.name.endswith("__main__")
)
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


# The names that examples use for objects are written out in them, so they are the same in every
# run. One run at a time, then, and what a run that was killed has left is cleared away first.
FIXED = re.compile(r"(isthmus\.)?(tour|guide)\W")


@pytest.fixture
def alone() -> Iterator[None]:
    def clear() -> list[str]:
        left = [entry for entry in os.listdir("/dev/shm") if FIXED.match(entry)]
        for entry in left:
            os.unlink(f"/dev/shm/{entry}")
        return left

    with open(Path(tempfile.gettempdir(), "isthmus-examples.lock"), "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        clear()
        yield
        gc.collect()
        assert clear() == []


def label(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    "page", [page for page in PAGES if "```python" in page.read_text()], ids=label
)
def test_python_examples_of_a_page_run_and_show_what_they_say(page: Path) -> None:
    sybil = Sybil(parsers=[PythonCodeBlockParser(doctest_optionflags=FLAGS)], path=str(ROOT))
    ran = 0
    for example in sybil.parse(page).examples():
        example.evaluate()
        ran += 1
    assert ran


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name: str) -> None:
    module = importlib.import_module(name)
    results = doctest.testmod(module, optionflags=FLAGS)
    assert results.failed == 0


def commands() -> list[str]:
    """What pages tell the user to type, as far as it is our own command."""
    found = {
        line[2:].split("   #")[0].strip()
        for page in PAGES
        for block in CONSOLE.findall(page.read_text())
        for line in block.splitlines()
        if re.match(r"\$ (isthmus|python -m isthmus) ", line)
    }
    # That one needs a terminal; its own tests drive it.
    return sorted(found - {"isthmus top"})


@pytest.fixture
def scene(name: str) -> Iterator[dict[str, str]]:
    """The queue and the topic that the pages talk of, by names that nobody else uses."""
    names = {"jobs": f"{name}/jobs", "camera": f"{name}/camera"}
    stop = threading.Event()
    with isthmus.Queue(names["jobs"]) as jobs, isthmus.Publisher(names["camera"]) as camera:

        def publish() -> None:
            while not stop.wait(0.01):
                camera.publish("a frame")

        jobs.put("a job")
        publisher = threading.Thread(target=publish)
        publisher.start()
        yield names
        stop.set()
        publisher.join()


@pytest.mark.slow
@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("command", commands())
def test_commands_in_the_pages_work(command: str, scene: dict[str, str], tmp_path: Path) -> None:
    words = [scene.get(word, word) for word in shlex.split(command)]
    words = words[1:] if words[0] == "isthmus" else words[3:]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "isthmus", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "COLUMNS": "100"},
    )
    assert done.returncode == 0, done.stderr


def test_links_between_pages_lead_somewhere() -> None:
    broken = [
        f"{label(page)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#:\s]+?)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_the_readme_names_what_is_there() -> None:
    text = (ROOT / "README.md").read_text()
    for name in re.findall(r"`isthmus\.(\w+)", text):
        assert name in isthmus.__all__, name
