"""The benchmarks' C programs compile without a warning and run; what callgrind counts is read."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture(scope="module")
def programs() -> ModuleType:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler (cc)")
    sys.path.insert(0, str(BENCH))
    try:
        return importlib.import_module("programs")
    finally:
        sys.path.remove(str(BENCH))


@pytest.fixture(scope="module")
def instructions(programs: ModuleType) -> ModuleType:
    sys.path.insert(0, str(BENCH))
    try:
        return importlib.import_module("instructions")
    finally:
        sys.path.remove(str(BENCH))


@pytest.mark.slow
def test_a_program_goes_there_and_back(programs: ModuleType) -> None:
    cores = [str(core) for core in sorted(os.sched_getaffinity(0))]
    # All in one test, so that the core is compiled by one worker only: it takes seconds.
    for arguments in ("spin", "ring queue", "ring topic"):
        name, *more = arguments.split()
        # Few, as both may be on one core, and each trip then takes two turns of the scheduler.
        assert programs.seconds(name, *more, "20", cores[0], cores[-1]) > 0, arguments


COUNTED = """\
version: 1
events: Ir
ob=(1) /tmp/program
fl=(1) ???
fn=(1) counted_put
0 100
cob=(2) /lib/libc.so.6
cfi=(2) ???
cfn=(2) memcpy
calls=7 0
0 4000
+3 20
ob=(2)
fn=(2)
0 4000
ob=(1)
fn=(3) isthmus_ring_write
* 3
totals: 4123
"""


def test_only_instructions_of_the_program_itself_are_counted(instructions: ModuleType) -> None:
    assert instructions._own(COUNTED, "/tmp/program") == 123


def test_more_instructions_than_the_tolerance_are_noticed(instructions: ModuleType) -> None:
    kept = {"put": 100.0, "get": 100.0}
    assert instructions.grown({"put": 102.0, "get": 103.0}, kept) == ["get"]
