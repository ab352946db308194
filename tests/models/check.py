#!/usr/bin/env python3
"""Check the models: that they still speak of this code, that their properties hold, and that
each of them can fail.

    tests/models/check.py [--no-mutations] [--no-long] [MODEL...]    for example: check.py mutex

A model says itself what is to be checked, at its top, one line each:

    CHECK what: MACRO...                    holds with these macros defined
    CHECK LONG what: MACRO...               the same, and takes more than some ten seconds
    MUST FAIL MACRO...: MUTATION            does not, with this mistake in addition

LIVENESS among the macros: with the model's ltl formula, under weak fairness.

Beside its steps stand quotations, as comments of the form "FILE FUNCTION: code". Each must still
be found in that function, and each atomic operation or system call of a function that is quoted
must be in some quotation, or in one that starts with "left out:"; of rings each note as well.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
CORE = HERE.parent.parent / "src" / "core"

# ---- What is to be run ----------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    model: str
    what: str
    macros: tuple[str, ...]
    must_fail: bool
    long: bool = False


@dataclass(frozen=True)
class Outcome:
    verdict: str
    good: bool
    states: str = ""
    seconds: float = 0.0
    details: str = ""


def runs_of(model: Path) -> list[Run]:
    runs = []
    for line in model.read_text().splitlines():
        if match := re.fullmatch(r" \* CHECK (LONG )?(.+): ([\w= ]+)", line):
            macros = tuple(match[3].split())
            runs.append(Run(model.stem, match[2], macros, False, bool(match[1])))
        elif match := re.fullmatch(r" \* MUST FAIL ([\w= ]+): (\w+)", line):
            runs.append(Run(model.stem, match[2], (*match[1].split(), match[2]), True))
    return runs


# ---- Running ----------------------------------------------------------------------------


def check(run: Run) -> Outcome:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="isthmus-models-") as name:
        directory = Path(name)
        for source in HERE.glob("*.pml"):
            shutil.copy(source, directory)
        outcome = search(run, directory)
    return Outcome(
        outcome.verdict,
        outcome.good,
        outcome.states,
        time.monotonic() - started,
        outcome.details,
    )


def search(run: Run, directory: Path) -> Outcome:
    liveness = "LIVENESS" in run.macros
    # A model that waits for the end and looks at it says itself where it may end.
    looks = "timeout;" in (directory / f"{run.model}.pml").read_text() and not liveness
    generate = ["spin", *(f"-D{macro}" for macro in run.macros)]
    compiler = shlex.split(os.environ.get("CC", "cc"))
    # Most mutations are noticed before a compiler that takes its time has come to an end.
    flags = ["-O0" if run.must_fail else "-O2", "-w", "-DMEMLIM=1500", "-DVECTORSZ=2048"]
    flags += ["-DNFAIR=3"] if liveness else ["-DSAFETY"]
    if any(macro.startswith("DEATHS=") for macro in run.macros):
        flags += ["-DNOREDUCE"]  # the reduction of partial orders does not know `unless`
    steps = [
        [*generate, "-a", f"{run.model}.pml"],
        [*compiler, *flags, "-o", "pan", "pan.c"],
        ["./pan", "-m200000", *(["-a", "-f"] if liveness else []), *(["-E"] if looks else [])],
    ]
    for step in steps:
        done = subprocess.run(
            step,
            cwd=directory,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode and step is not steps[-1]:
            return Outcome("cannot be built", False, details=done.stdout)
    output = done.stdout
    errors = re.search(r"errors: (\d+)", output)
    states = re.search(r"(\d+) states, stored", output)
    count = states[1] if states else "?"
    broken = re.search(r"^pan:\d+: (.*?)(?: \(at depth \d+\))?$", output, re.MULTILINE)
    if not errors or (errors[1] == "0" and "Search not completed" in output):
        return Outcome("the search was not complete", False, count, details=output)
    if "max search depth too small" in output:
        return Outcome("the search was not deep enough", False, count, details=output)
    if errors[1] == "0":
        if run.must_fail:
            return Outcome("NOT NOTICED", False, count)
        return Outcome("holds", True, count)
    found = broken[1] if broken else "violated"
    if run.must_fail:
        return Outcome(f"noticed: {found}", True, count)
    trail = subprocess.run(
        [*generate, "-t", "-p", "-g", f"{run.model}.pml"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    return Outcome(f"VIOLATED: {found}", False, count, details=trail.stdout)


# ---- Quotations -----------------------------------------------------------------------------

QUOTATION = re.compile(r"/\*\s+(left out:\s+)?(\w+\.[ch])\s+(\w+):\s(.*?)\s\*/", re.DOTALL)
OPERATION = re.compile(
    r"isthmus_(?:(?:load|store|exchange|add|and|or|xor|swap)(?:_acquire|_release)?_u(?:16|32|64)"
    r"|local_(?:claim|yield)"
    r"|os_(?:futex_wait|futex_wake|ring|try_byte|release_byte|byte_held)|wait_sleep"
    r"|wake|ring_doorbells)\((?!const struct)"
)
# What the owner of a ring's lock leaves is found by the next one, when it dies.
NOTE = re.compile(r"isthmus_note_u(?:16|32|64)\(")
RINGS = ("queue", "ring", "topic")


def plain(text: str) -> str:
    """Code without comments, in one line."""
    return " ".join(re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL).replace("\\\n", " ").split())


def function(file: Path, name: str) -> str | None:
    """The body of a function, or of a macro that is like one."""
    text = file.read_text()
    match = re.search(rf"^[a-z][^;{{}}=]*?\b{name}\([^;{{]*?\)\s*\{{.*?^\}}", text, re.M | re.S)
    if not match:
        match = re.search(rf"^#define {name}\((?:.*\\\n)*.*$", text, re.M)
    return plain(match[0]) if match else None


def check_quotations(models: list[Path]) -> tuple[int, list[str]]:
    complaints = []
    quoted: dict[tuple[str, str], list[str]] = {}
    count = 0
    for model in models:
        for match in QUOTATION.finditer(model.read_text()):
            _, file, name, code = match.groups()
            code = " ".join(code.replace("\n *", "\n").split())
            count += 1
            where = f"{model.name}: {file} {name}"
            body = function(CORE / file, name) if (CORE / file).exists() else None
            if body is None:
                complaints.append(f"{where}: there is no such function")
            elif code not in body:
                complaints.append(f"{where}: does not say: {code}")
            else:
                quoted.setdefault((file, name), []).append(code)
    for (file, name), codes in sorted(quoted.items()):
        body = function(CORE / file, name) or ""
        spans = [
            (match.start(), match.end())
            for code in codes
            for match in re.finditer(re.escape(code), body)
        ]
        steps = list(OPERATION.finditer(body))
        if file.startswith(RINGS):
            steps += NOTE.finditer(body)
        complaints += [
            f"{file} {name}: no model has the step {body[step.start() : step.end() + 40]} …"
            for step in steps
            if not any(start <= step.start() < end for start, end in spans)
        ]
    return count, complaints


# ---- All of it --------------------------------------------------------------------------------


def main(names: list[str], mutations: bool, long: bool) -> int:
    all_models = sorted(HERE.glob("*.pml"))
    count, complaints = check_quotations(all_models)
    for complaint in complaints:
        print(complaint)
    print(f"models: {count} quotations of the core compared, {len(complaints)} do not fit")
    failures = len(complaints)

    if not shutil.which("spin"):
        print("models: NOT CHECKED, since spin is not installed (apt-get install spin)")
        return 1 if failures else 0
    runs = [run for model in all_models for run in runs_of(model)]
    runs = [run for run in runs if not names or run.model in names]
    if not mutations:
        runs = [run for run in runs if not run.must_fail]
    left_out = 0
    if not long:
        left_out = sum(run.long for run in runs)
        runs = [run for run in runs if not run.long]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for run, outcome in zip(runs, pool.map(check, runs), strict=True):
            what = f"must fail: {run.what}" if run.must_fail else run.what
            print(
                f"{run.model:<13} {what:<52} {outcome.states:>9} states "
                f"{outcome.seconds:6.1f} s  {outcome.verdict}",
                flush=True,
            )
            if not outcome.good:
                failures += 1
                print(f"  with: {' '.join(run.macros)}")
                print("\n".join(outcome.details.splitlines()[-80:]))
    checked = sum(not run.must_fail for run in runs)
    print(
        f"models: {checked} checks and {len(runs) - checked} mutations, "
        + (f"{failures} failures" if failures else "all as they should be")
        + (f"; {left_out} long checks left to make models" if left_out else "")
    )
    return 1 if failures else 0


if __name__ == "__main__":
    options = ("--no-mutations", "--no-long")
    chosen = [argument for argument in sys.argv[1:] if argument not in options]
    sys.exit(main(chosen, *(option not in sys.argv for option in options)))
