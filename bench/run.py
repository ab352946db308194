"""All benchmarks, or those named: python bench/run.py [opening] [array] [large] [import].

Speed is measured here and nowhere else; no test asserts a time. Rivals run in the same
process, on the same core, taking turns. Trust the ratios, not the absolute times.
"""

from __future__ import annotations

import argparse

from harness import Race, machine, pin, report
from opening import array_race, import_race, large_race, opening_races

TOPICS = {
    "opening": opening_races,
    "array": lambda: [array_race()],
    "large": lambda: [large_race()],
    "import": lambda: [import_race()],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("topics", nargs="*", choices=[[], *TOPICS], help="default: all")
    parser.add_argument("--json", metavar="FILE", help="write everything measured to FILE")
    arguments = parser.parse_args()
    facts = machine(pin())
    races: list[Race] = []
    for topic in arguments.topics or TOPICS:
        races.extend(TOPICS[topic]())
    report(races, facts, arguments.json)


if __name__ == "__main__":
    main()
