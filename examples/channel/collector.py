"""Take readings, and send them to every monitor that is there, over any form of channel.

    collector.py URL                              until Ctrl-C
    collector.py URL --count 20 --every 0.1       so many, with so many seconds between
    collector.py URL --sensors load,memory

Monitors come and go as they like. One that does not keep up misses readings, and holds up nobody:
an old reading is worth nothing. Over file: all readings stay in the file, for whoever comes later.
"""

import argparse
import sys
from time import monotonic

from readings import NAMES, SENSORS, Reading

import isthmus
from isthmus import channel
from isthmus.channel import Channel, Listener, TimedOut
from isthmus.errors import IsthmusError


class Collector:
    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.monitors: set[Channel] = set()
        self.skipped = 0

    def attend(self, until: float) -> None:
        """Let monitors in and out, until it is time for the next reading."""
        while True:
            everybody: list[Listener | Channel] = [self.listener, *self.monitors]
            some = isthmus.wait(everybody, timeout=max(0.0, until - monotonic()))
            if not some:
                return
            for ready in some:
                try:
                    if isinstance(ready, Listener):
                        self.monitors.add(ready.accept(timeout=0))
                    else:
                        ready.recv(timeout=0)  # monitors have nothing to say, but may be gone
                except TimedOut:
                    pass
                except IsthmusError:
                    if isinstance(ready, Listener):
                        raise
                    self.drop(ready)

    def send(self, reading: Reading) -> None:
        message = reading.pack()
        for monitor in list(self.monitors):
            try:
                monitor.send(message, timeout=0)
            except TimedOut:
                self.skipped += 1
            except IsthmusError:
                self.drop(monitor)

    def drop(self, monitor: Channel) -> None:
        monitor.close()
        self.monitors.discard(monitor)


def main() -> str | None:
    parser = argparse.ArgumentParser(description="send readings to monitors")
    parser.add_argument("url")
    parser.add_argument("--count", type=int, help="how many readings of each sensor")
    parser.add_argument("--every", type=float, default=1.0, metavar="SECONDS")
    parser.add_argument("--sensors", default="load,memory", help=f"of {', '.join(NAMES)}")
    args = parser.parse_args()
    sensors = args.sensors.split(",")
    if not set(sensors) <= set(NAMES):
        parser.error(f"there are the sensors {', '.join(NAMES)}")
    try:
        with channel.listen(args.url) as listener:
            print(f"listening on {listener.url}", flush=True)
            collector = Collector(listener)
            number = 0
            # The first reading is for somebody.
            while not collector.monitors:
                collector.attend(monotonic() + args.every)
            due = monotonic()
            while args.count is None or number < args.count:
                collector.attend(due)
                for sensor in sensors:
                    collector.send(Reading(sensor, number, SENSORS[sensor](number)))
                number += 1
                due += args.every
    except IsthmusError as error:
        return f"collector: {error}"
    except KeyboardInterrupt:
        print()
    return None


if __name__ == "__main__":
    sys.exit(main())
