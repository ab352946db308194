"""Send as fast as the consumer (consumer.py) allows, over any form of channel.

    producer.py URL --count 2000 --size 65536

A channel has little room. When that is full, `send` waits: so the producer is never far ahead, its
memory does not grow, and nothing is lost. Over file: there is always room, until the disk is full:
nobody is held up.
"""

import argparse
import hashlib
import resource
import sys
from time import monotonic

from isthmus import channel
from isthmus.errors import IsthmusError

# A send that takes longer than this, in seconds, has waited.
WAITED = 0.001
# Forms without connections do not tell that this side has gone; so it says so.
END = b""


def message(number: int, size: int) -> bytes:
    """All are different, so that one that is lost, or comes twice, shows in the checksum."""
    return (number.to_bytes(6, "little") * (size // 6 + 1))[:size]


def main() -> str | None:
    parser = argparse.ArgumentParser(description="send as fast as the consumer allows")
    parser.add_argument("url")
    parser.add_argument("--count", type=int, default=2000, metavar="MESSAGES")
    parser.add_argument("--size", type=int, default=65536, metavar="BYTES")
    args = parser.parse_args()
    checksum = hashlib.sha256()
    held_up, waited, longest = 0, 0.0, 0.0
    try:
        with channel.connect(args.url, timeout=None) as link:
            size = max(1, min(args.size, link.largest))
            began = monotonic()
            for number in range(args.count):
                data = message(number, size)
                checksum.update(data)
                before = monotonic()
                link.send(data)
                took = monotonic() - before
                if took > WAITED:
                    held_up += 1
                    waited += took
                    longest = max(longest, took)
            link.send(END)
            total = monotonic() - began
    except IsthmusError as error:
        return f"producer: {error}"
    except KeyboardInterrupt:
        return "producer: interrupted"
    print(f"sent {args.count} messages of {size} bytes in {total:.3f} s")
    print(f"held up {held_up} times, for {waited:.3f} s; the longest {longest:.3f} s")
    print(f"most memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.1f} MiB")
    print(f"sha256 {checksum.hexdigest()}")
    return None


if __name__ == "__main__":
    sys.exit(main())
