"""Put jobs into a queue, and work on them, together with others in C (examples/c/queue_feed.c).

Any of the processes may be killed at any time: a job that somebody was working on then goes to
another one.

    queue_feed.py NAME put COUNT    put so many jobs: arrays and texts by turns
    queue_feed.py NAME work         work on jobs until the queue is shut down and empty
    queue_feed.py NAME hold         take a job and keep it, until killed
    queue_feed.py NAME end          no more jobs are to come
    queue_feed.py NAME remove       remove the queue
"""

import signal
import sys

import numpy as np

from isthmus import Queue, ShutDown


def open_queue(name: str) -> Queue:
    # It stays until it is removed; a job that kills everybody who takes it is set aside at last.
    return Queue(name, capacity="1 MiB", max_attempts=5, persist=True)


def put_jobs(queue: Queue, count: int) -> None:
    for number in range(count):
        if number % 2:
            queue.put(b"job %d" % number)
        else:
            columns = 1 + number % 4
            queue.put(np.arange(number, number + 2 * columns, dtype=float).reshape(2, columns))


def describe(job: object) -> str:
    """The work."""
    if isinstance(job, bytes):
        return job.decode()
    assert isinstance(job, np.ndarray)
    rows, columns = job.shape
    return f"{rows} x {columns}, sum {job.sum():.0f}"


def work(queue: Queue) -> None:
    try:
        while True:
            # Leaving it acknowledges; an exception in it gives the job back, and so does death.
            with queue.lease() as job:
                text = describe(job.value)
                print(f"message {job.number}, attempt {job.attempt}: {text}", flush=True)
    except ShutDown:
        pass


def hold(queue: Queue) -> None:
    with queue.lease() as job:
        print(f"holding message {job.number}", flush=True)
        while True:
            signal.pause()


def main(*arguments: str) -> int:
    match arguments:
        case (name, "put", count) if count.isdecimal():
            put_jobs(open_queue(name), int(count))
        case (name, "work"):
            work(open_queue(name))
        case (name, "hold"):
            hold(open_queue(name))
        case (name, "end"):
            open_queue(name).shutdown()
        case (name, "remove"):
            open_queue(name).unlink()
        case _:
            print(
                "usage: queue_feed.py NAME put COUNT\n"
                "       queue_feed.py NAME work|hold|end|remove",
                file=sys.stderr,
            )
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
