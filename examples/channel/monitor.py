"""Analyse readings while they arrive, over any form of channel.

    monitor.py URL                   until Ctrl-C; then a summary
    monitor.py URL --readings 40     until so many have come

It may be started before the collector, and goes on when that one comes back. There may be several,
each of which gets everything; but over mq: and sysv: a reading goes to one of them, and over
signal: to the one that came last. Over file:, ``?start=start`` begins with the oldest.
"""

import argparse
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic

from readings import Reading, missed, unpack

from isthmus import channel
from isthmus.errors import IsthmusError


@dataclass
class Summary:
    """Of one sensor; it takes the same room however many readings there were."""

    count: int = 0
    mean: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    missed: int = 0
    last: int | None = None
    began: float = 0.0
    seconds: float = 0.0

    def add(self, reading: Reading) -> None:
        now = monotonic()
        self.began = self.began or now
        self.seconds = now - self.began
        self.count += 1
        self.mean += (reading.value - self.mean) / self.count
        self.low = min(self.low, reading.value)
        self.high = max(self.high, reading.value)
        self.missed += missed(self.last, reading.number)
        self.last = reading.number

    def __str__(self) -> str:
        rate = (self.count - 1) / self.seconds if self.seconds else 0.0
        return (
            f"{self.count} readings, mean {self.mean:.3f}, from {self.low:.3f} to {self.high:.3f}, "
            f"{rate:.1f}/s, missed {self.missed}"
        )


def messages(url: str) -> Iterator[bytes]:
    """From the collector, and from the one after it."""
    while True:
        print(f"waiting for {url}", flush=True)
        with channel.connect(url, timeout=None) as link:
            print(f"connected to {link.url}", flush=True)
            yield from link
            if link.form == "signal":
                return  # the next one has another process number
        print("\nthe collector has gone; it may come back", flush=True)


def main() -> str | None:
    parser = argparse.ArgumentParser(description="analyse readings while they arrive")
    parser.add_argument("url")
    parser.add_argument("--readings", type=int, default=sys.maxsize, metavar="COUNT")
    args = parser.parse_args()
    summaries: dict[str, Summary] = {}
    # In a terminal, one line that changes; else a line for each reading.
    start, end = ("\r", "\033[K") if sys.stdout.isatty() else ("", "\n")
    done = 0
    try:
        for message in messages(args.url):
            try:
                reading = unpack(message)
            except ValueError as error:
                print(f"{start}{error}{end}", end="", flush=True)
                continue
            summary = summaries.setdefault(reading.sensor, Summary())
            summary.add(reading)
            print(
                f"{start}{reading.sensor} {reading.value:.3f}: {summary}{end}", end="", flush=True
            )
            done += 1
            if done == args.readings:
                break
    except IsthmusError as error:
        return f"monitor: {error}"
    except KeyboardInterrupt:
        pass
    print()
    for sensor, summary in summaries.items():
        print(f"{sensor}: {summary}")
    return None


if __name__ == "__main__":
    sys.exit(main())
