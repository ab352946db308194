"""Send commands to a server (command_server.py), over any form of channel.

    command.py URL status          one command; ends with 0, or with 1 if the server refused it
    command.py URL                 commands from the standard input, one a line

Over mq:, sysv: and signal:, one client at a time: there, the server cannot say for whom of several
an answer is.
"""

import argparse
import os
import sys
from time import monotonic

from lines import Lines, send_line

from isthmus import channel
from isthmus.channel import Channel
from isthmus.errors import IsthmusError


class Client:
    def __init__(self, link: Channel, timeout: float) -> None:
        self._link, self._timeout = link, timeout
        self._lines = Lines()

    def ask(self, command: str) -> bool:
        """Send it, show the answer; whether the server has obeyed."""
        deadline = monotonic() + self._timeout
        token = os.urandom(2).hex()
        send_line(self._link, f"{token} {command}", self._timeout)
        while True:
            # Also answers that others wait for, or have waited for, may come by.
            message = self._link.recv(max(0.0, deadline - monotonic()))
            for line in self._lines.feed(message):
                mark, _, answer = line.partition(" ")
                if mark == f"={token}":
                    outcome, _, text = answer.partition(" ")
                    print(text if outcome == "ok" else f"error: {text}", flush=True)
                    return outcome == "ok"


def main() -> int | str:
    parser = argparse.ArgumentParser(description="send commands to a server")
    parser.add_argument("url")
    parser.add_argument("command", nargs="*", help="such as: help")
    parser.add_argument("--timeout", type=float, default=5.0, metavar="SECONDS")
    args = parser.parse_args()
    obeyed = True
    try:
        with channel.connect(args.url, timeout=args.timeout) as link:
            client = Client(link, args.timeout)
            commands = [" ".join(args.command)] if args.command else sys.stdin
            for command in map(str.strip, commands):
                if command:
                    obeyed &= client.ask(command)
    except TimeoutError:
        return f"command: no answer within {args.timeout:g} seconds"
    except IsthmusError as error:
        return f"command: {error}"
    except KeyboardInterrupt:
        return 130
    return 0 if obeyed else 1


if __name__ == "__main__":
    sys.exit(main())
