"""All benchmarks, or those named: python bench/run.py [TOPIC …], such as opening or locks.

Speed is measured here and nowhere else; no test asserts a time. Rivals run in the same
process, on the same core, taking turns; what takes several processes (from peers on) has
two cores. Trust the ratios, not the absolute times. With BENCH_QUICK=1 in the environment,
trips, streams, frames, holding and asyncio only show that they work.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from compat_mp import compat_mp_contests
from compat_posix import posix_ipc_races
from compat_sysv import compat_sysv_races
from frames import frame_contests
from harness import Result, machine, pin, report
from holding import holding_comparisons
from inspecting import inspecting_races
from instructions import instruction_comparisons
from locks import atomic_race, lock_races
from opening import array_race, import_race, large_race, opening_races
from peers import peer_comparisons
from streams import stream_contests
from tasks import task_contests
from trips import blocking, spinning

TOPICS: dict[str, Callable[[], Sequence[Result]]] = {
    "opening": opening_races,
    "array": lambda: [array_race()],
    "large": lambda: [large_race()],
    "import": lambda: [import_race()],
    "locks": lock_races,
    "atomic": lambda: [atomic_race()],
    "posix_ipc": posix_ipc_races,
    "sysv_ipc": compat_sysv_races,
    "peers": peer_comparisons,
    "trips": lambda: [spinning(), blocking()],
    "streams": stream_contests,
    "frames": frame_contests,
    "holding": holding_comparisons,
    "inspecting": inspecting_races,
    "instructions": instruction_comparisons,
    "multiprocessing": compat_mp_contests,
    "asyncio": task_contests,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("topics", nargs="*", choices=[[], *TOPICS], help="default: all")
    parser.add_argument("--json", metavar="FILE", help="write everything measured to FILE")
    arguments = parser.parse_args()
    facts = machine(pin())
    races: list[Result] = []
    for topic in arguments.topics or TOPICS:
        races.extend(TOPICS[topic]())
    report(races, facts, arguments.json)


if __name__ == "__main__":
    main()
