"""Publish frames, and watch them, together with others in C (examples/c/topic_feed.c).

Frames are written and read in place. Any of the processes may be killed at any time: nobody sees
half a frame, and nobody waits for the dead.

    topic_feed.py NAME publish COUNT   publish frames number 0 to COUNT - 1
    topic_feed.py NAME half            write half a frame and stay there, until killed
    topic_feed.py NAME watch           print what comes, up to and with the frame that ends it
    topic_feed.py NAME stare           keep the first frame in view, until killed
    topic_feed.py NAME end             publish a frame without elements: it ends those that watch
    topic_feed.py NAME remove          remove the topic
"""

import signal
import sys

from isthmus import Publisher, Subscriber, Topic

SHAPE = (16, 16)
# Some thirty frames: nobody gets far ahead. It stays until it is removed.
CAPACITY = "64 KiB"


def publisher(name: str) -> Publisher:
    return Publisher(name, capacity=CAPACITY, persist=True)


def subscriber(name: str) -> Subscriber:
    new = Subscriber(name, capacity=CAPACITY, persist=True)
    print("subscribed", flush=True)
    return new


def publish(name: str, count: int) -> None:
    with publisher(name) as pub:
        for number in range(count):
            # Leaving it publishes; an exception in it, or death, leaves nothing.
            with pub.loan(SHAPE, float) as frame:
                frame[:] = number


def half(name: str) -> None:
    with publisher(name) as pub, pub.loan(SHAPE, float) as frame:
        frame[: SHAPE[0] // 2] = -1
        print("half a frame", flush=True)
        while True:
            signal.pause()


def watch(name: str) -> None:
    with subscriber(name) as sub:
        ended = False
        while not ended:
            # In the ring, and it does not change until this is left.
            with sub.view() as frame:
                ended = frame.size == 0
                if not ended:
                    print(f"frame {frame[0, 0]:.0f}, sum {frame.sum():.0f}", flush=True)
        print(f"missed {sub.missed}")


def stare(name: str) -> None:
    with subscriber(name) as sub, sub.view() as frame:
        print(f"frame {frame[0, 0]:.0f} in view", flush=True)
        while True:
            signal.pause()


def end(name: str) -> None:
    with publisher(name) as pub, pub.loan((0, SHAPE[1]), float):
        pass


def main(*arguments: str) -> int:
    match arguments:
        case (name, "publish", count) if count.isdecimal():
            publish(name, int(count))
        case (name, "half"):
            half(name)
        case (name, "watch"):
            watch(name)
        case (name, "stare"):
            stare(name)
        case (name, "end"):
            end(name)
        case (name, "remove"):
            Topic(name).unlink()
        case _:
            print(
                "usage: topic_feed.py NAME publish COUNT\n"
                "       topic_feed.py NAME half|watch|stare|end|remove",
                file=sys.stderr,
            )
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
