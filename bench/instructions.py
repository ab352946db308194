"""Instructions that one put and one get of 64 bytes take: python bench/instructions.py --help.

Counted with callgrind, on the core as compiled for releases. Unlike times they are the same
in every run on every machine, for one compiler; so they are kept, and a check compares.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contest import Comparison

KEPT = Path(__file__).with_name("instructions.json")
COUNT = 2_000
# More than this is a change.
TOLERANCE = 0.02
HOW = "python bench/instructions.py --renew REASON"


def unable() -> str | None:
    """Why nothing can be counted here."""
    for command in ("valgrind", programs.compiler()[0]):
        if shutil.which(command) is None:
            return f"there is no {command}"
    return None


def compiler() -> str:
    """Which one, and for which machine: what a figure is true for."""
    command = [*programs.compiler(), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return f"{done.stdout.splitlines()[0]}, {platform.machine()}"


def count_core() -> dict[str, float]:
    figures = {}
    for kind, verbs in (("queue", ("put", "get")), ("topic", ("publish", "recv"))):
        for verb, function in zip(verbs, ("counted_put", "counted_get"), strict=True):
            figures[verb] = _counted(programs.program("instructions"), kind, function)
    return figures


def _counted(program: str, kind: str, function: str) -> float:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        out = Path(folder, "out")
        _callgrind(out, [program, kind, str(COUNT)], f"--toggle-collect={function}")
        return round(_own(out.read_text(), program) / COUNT, 2)


def _callgrind(out: Path, command: list[str], *options: str) -> None:
    full = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", *options, *command]
    # Python's -I would not look at it.
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        full, capture_output=True, text=True, timeout=300, check=False, env=environment
    )
    if done.returncode:
        raise SystemExit(f"valgrind failed:\n{done.stderr}")


def _own(text: str, program: str) -> int:
    """What was spent in the program itself.

    Not in the C library: which memcpy it takes depends on the processor.
    """
    total, objects, mine, called = 0, {}, False, False
    for line in text.splitlines():
        if match := re.match(r"ob=\((\d+)\)(?: (.*))?", line):
            number, name = match.groups()
            if name:
                objects[number] = name
            mine = objects[number] == program
        elif match := re.match(r"cob=\((\d+)\) (.*)", line):
            objects[match[1]] = match[2]
        elif line.startswith("calls="):
            called = True  # the next line is what was spent down there
        elif re.match(r"[+*-]?\d* \d+$|\* \d+$", line):
            if mine and not called:
                total += int(line.split()[1])
            called = False
    return total


PYTHON = """
import gc, sys, isthmus
gc.disable()
q = isthmus.Queue(None, capacity=1 << 20)
put, get, message = q.put, q.get, bytes(64)
for _ in range(int(sys.argv[1])):
    {body}
"""


def count_python() -> dict[str, float]:
    """The same from Python, with all that the interpreter does: for information."""
    bodies = {"pass": "pass", "put_get": "put(message); get()"}
    totals = {name: _slope(PYTHON.format(body=body)) for name, body in bodies.items()}
    return {"python put and get": round(totals["put_get"] - totals["pass"], 1)}


def _slope(code: str) -> float:
    """Instructions of one more turn of the loop."""
    few, many = 1_000, 3_000
    return (_whole(code, many) - _whole(code, few)) / (many - few)


def _whole(code: str, count: int) -> int:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        out = Path(folder, "out")
        _callgrind(out, [sys.executable, "-P", "-s", "-c", code, str(count)])
        match = re.search(r"^(?:totals|summary): (\d+)", out.read_text(), re.MULTILINE)
        if match is None:
            raise SystemExit("callgrind wrote no total")
        return int(match[1])


def renew(reason: str) -> None:
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    kept[compiler()] = {"instructions": count_core(), "reason": reason}
    KEPT.write_text(json.dumps(kept, indent=2) + "\n")


def check() -> int:
    """0: as it was; 1: it has grown. In one line when nothing can be said."""
    problem = unable()
    kept = json.loads(KEPT.read_text())
    if problem is None and compiler() not in kept:
        problem = f"there is no figure for {compiler()}"
    if problem:
        print(f"instructions are not counted: {problem}")
        return 0
    now, before = count_core(), kept[compiler()]["instructions"]
    if found := grown(now, before):
        for verb in found:
            print(f"{verb} of 64 bytes takes {now[verb]:g} instructions, {before[verb]:g} before")
        print(f"If that is worth it: {HOW}")
        return 1
    print("instructions of 64 bytes: " + ", ".join(f"{v} {n:g}" for v, n in now.items()))
    return 0


def instruction_comparisons() -> list[Comparison]:
    from contest import Comparison

    result = Comparison(
        "Instructions of 64 bytes, counted with callgrind",
        f"no more than {TOLERANCE:.0%} above {KEPT.name}",
        ("what", "now", "kept"),
    )
    if problem := unable():
        result.rows.append((problem, "", ""))
        return [result]
    kept = json.loads(KEPT.read_text()).get(compiler(), {}).get("instructions", {})
    now = count_core()
    result.figures.update(now)
    for verb, figure in {**now, **count_python()}.items():
        result.figures[verb] = figure
        result.rows.append((verb, f"{figure:g}", f"{kept[verb]:g}" if verb in kept else ""))
    if kept:
        result.met = not grown(now, kept)
    return [result]


def grown(now: dict[str, float], kept: dict[str, float]) -> list[str]:
    return [verb for verb, before in kept.items() if now[verb] > before * (1 + TOLERANCE)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--check", action="store_true", help=f"compare with {KEPT.name}")
    group.add_argument("--renew", metavar="REASON", help=f"write {KEPT.name}, saying why")
    group.add_argument("--python", action="store_true", help="count Python's put and get")
    arguments = parser.parse_args()
    if arguments.check:
        return check()
    if problem := unable():
        raise SystemExit(problem)
    if arguments.renew:
        renew(arguments.renew)
    else:
        print(count_python())
    return 0


if __name__ == "__main__":
    sys.exit(main())
