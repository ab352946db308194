"""Receive slowly what a producer (producer.py) sends fast, over any form of channel.

    consumer.py URL --delay 0.001

The delay stands for the work that a message makes, in seconds.
"""

import argparse
import hashlib
import resource
import sys
import time

from isthmus import channel
from isthmus.errors import IsthmusError


def main() -> str | None:
    parser = argparse.ArgumentParser(description="receive slowly")
    parser.add_argument("url")
    parser.add_argument("--delay", type=float, default=0.001, metavar="SECONDS")
    args = parser.parse_args()
    checksum = hashlib.sha256()
    count, ended = 0, False
    try:
        with channel.listen(args.url) as listener:
            print(f"listening on {listener.url}", flush=True)
            with listener.accept() as link:
                print("the producer may send", flush=True)
                for data in link:
                    if not data:  # the producer has said that this was all
                        ended = True
                        break
                    checksum.update(data)
                    count += 1
                    time.sleep(args.delay)
    except IsthmusError as error:
        return f"consumer: {error}"
    except KeyboardInterrupt:
        return f"consumer: interrupted after {count} messages"
    print(f"received {count} messages")
    print(f"most memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.1f} MiB")
    print(f"sha256 {checksum.hexdigest()}")
    return None if ended else "consumer: the producer has gone before it was done"


if __name__ == "__main__":
    sys.exit(main())
