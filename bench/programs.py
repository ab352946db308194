"""The C programs of bench/c, compiled when they are needed, over the core as releases have it."""

from __future__ import annotations

import atexit
import functools
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# As meson has it for buildtype=release.
FLAGS = ["-std=c11", "-O3", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wconversion"]


def compiler() -> list[str]:
    return shlex.split(os.environ.get("CC", "cc"))


@functools.cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="bench-c-")
    atexit.register(shutil.rmtree, folder)  # forked processes do not get there: os._exit
    return Path(folder)


@functools.cache
def _core() -> list[str]:
    """The core's object files."""
    sources = sorted((ROOT / "src" / "core").glob("*.c"))
    command = [*compiler(), *FLAGS, "-I", str(ROOT / "include"), "-c", *map(str, sources)]
    subprocess.run(command, cwd=_folder(), check=True)
    return sorted(map(str, _folder().glob("*.o")))


@functools.cache
def program(name: str) -> str:
    """bench/c/NAME.c as a program; its path."""
    made = str(_folder() / name)
    source = str(ROOT / "bench" / "c" / f"{name}.c")
    command = [*compiler(), *FLAGS, "-I", str(ROOT / "include"), "-o", made, source, *_core()]
    subprocess.run([*command, "-lrt"], check=True)
    return made


def seconds(name: str, *arguments: str) -> float:
    """What the program prints, which is nanoseconds."""
    command = [program(name), *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=120, check=True)
    return float(done.stdout) * 1e-9
