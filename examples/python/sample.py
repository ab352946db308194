"""The classic first program with shared memory, in Python.

A parent makes a segment of one page that everybody may read and write, and starts a child; the
child stores a number at its start and ends; the parent waits for it, prints what it finds
there, and removes the segment. Each half can be had alone, with the other one in any language:

    sample.py [--name NAME]                       both halves, by fork()
    sample.py parent NAME -- COMMAND [ARG ...]    the parent's half; COMMAND is the child
    sample.py child NAME                          the child's half, in a process of its own
"""

import mmap
import multiprocessing
import struct
import subprocess
import sys

from isthmus import Segment

VALUE = 0xDBEEBEE


def number(segment: Segment) -> memoryview:
    """The unsigned long at the start: a view of the shared memory, not a copy."""
    return segment.buf[: struct.calcsize("L")].cast("L")


def child(name: str) -> None:
    with Segment.attach(name) as segment:
        number(segment)[0] = VALUE


def parent(name: str, command: list[str]) -> int:
    with Segment.create(name, mmap.PAGESIZE, mode=0o666) as segment:
        try:
            if command:
                failed = subprocess.run(command, check=False).returncode
            else:
                process = multiprocessing.get_context("fork").Process(target=child, args=(name,))
                process.start()
                process.join()
                failed = process.exitcode
            if not failed:
                print(f"child wrote {number(segment)[0]:#x}")
            return 1 if failed else 0
        finally:
            segment.unlink()


def main(*arguments: str) -> int:
    match arguments:
        case ():
            return parent("sample", [])
        case ("--name", name):
            return parent(name, [])
        case ("parent", name, "--", *command) if command:
            return parent(name, command)
        case ("child", name):
            child(name)
            return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
