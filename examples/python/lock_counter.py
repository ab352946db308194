"""Count together with other processes, in Python or C (examples/c/lock_counter.c).

Any of them may be killed at any time. They share an atomic integer, a number under a lock with a
name, and one under a lock that stands beside it in a segment, as a C struct has it.

    lock_counter.py NAME COUNT      raise each of the three so many times
    lock_counter.py NAME show       print them
    lock_counter.py NAME hold       take both locks and keep them, until killed
    lock_counter.py NAME remove     remove all
"""

import signal
import sys

from isthmus import AtomicInt, ExistsError, Lock, NotFoundError, Segment

# As in the C struct: two numbers, and the lock with room for so many at a multiple of 64.
ROOM = 16
LOCK_OFFSET = 64
SIZE = LOCK_OFFSET + Lock.nbytes(ROOM)


def open_segment(name: str) -> Segment:
    while True:
        try:
            return Segment.attach(name)
        except NotFoundError:
            pass
        try:
            return Segment.create(name, SIZE)
        except ExistsError:
            pass  # somebody was first


class Counter:
    def __init__(self, name: str) -> None:
        self.segment = open_segment(name)
        self.numbers = self.segment.buf[:16].cast("Q")
        self.hits = AtomicInt(f"{name}/hits", persist=True)
        self.named = Lock(f"{name}/lock", persist=True, on_owner_death=self.told)
        self.placed = Lock(
            segment=self.segment,
            offset=LOCK_OFFSET,
            participants=ROOM,
            on_owner_death=self.told,
        )

    def told(self, lock: Lock) -> None:
        # A number that is written in one go is not half done: nothing to repair, here.
        which, number = ("named", 0) if lock is self.named else ("placed", 1)
        print(f"the last owner of the {which} lock died; the number is {self.numbers[number]}")

    def count(self, times: int) -> None:
        for _ in range(times):
            self.hits.add(1)
            with self.named:
                self.numbers[0] += 1
            with self.placed:
                self.numbers[1] += 1

    def hold(self) -> None:
        with self.named, self.placed:
            print("holding both locks", flush=True)
            while True:
                signal.pause()

    def show(self) -> None:
        print(
            f"hits {self.hits.load()}, under the named lock {self.numbers[0]}, "
            f"under the placed lock {self.numbers[1]}"
        )

    def remove(self) -> None:
        self.named.unlink()
        self.hits.unlink()
        self.segment.unlink()


def main(*arguments: str) -> int:
    match arguments:
        case (name, "hold"):
            Counter(name).hold()
        case (name, "show"):
            Counter(name).show()
        case (name, "remove"):
            Counter(name).remove()
        case (name, times) if times.isdecimal():
            Counter(name).count(int(times))
        case _:
            print("usage: lock_counter.py NAME COUNT|show|hold|remove", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
