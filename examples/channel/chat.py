"""Talk to each other in two or more terminals, over any form of channel.

    chat.py --listen URL      in one terminal
    chat.py URL               in the others, before or after that

What is typed goes to all others. Ctrl-D or Ctrl-C ends it. Over file: nobody needs to listen. Over
file: and mq: nobody is told that another one was killed, over sysv: and signal: not who listens.
"""

import argparse
import os
import sys
from contextlib import suppress

from lines import Lines, send_line

import isthmus
from isthmus import channel
from isthmus.channel import Channel, EndOfChannel, Listener, TimedOut
from isthmus.errors import IsthmusError

KEYBOARD = 0
# Who does not read for so many seconds, being stopped, is not waited for.
PATIENCE = 0.5


def show(text: str) -> None:
    print(text, flush=True)


class Chat:
    """Everybody that this terminal is connected to. Who listens passes on what comes."""

    def __init__(self, listener: Listener | None, links: list[Channel]) -> None:
        self.listener = listener
        self.links = {link: Lines() for link in links}
        self.over = False

    def talk(self, name: str) -> None:
        self.say(f"* {name} has joined")
        typed = Lines()
        try:
            while not self.over:
                waiting: list[Listener | Channel | int] = [*self.links, KEYBOARD]
                if self.listener is not None:
                    waiting.insert(0, self.listener)
                # One wait for the keyboard and all others; it sleeps until there is something.
                for ready in isthmus.wait(waiting):
                    if isinstance(ready, Listener):
                        self.let_in(ready)
                    elif isinstance(ready, Channel):
                        self.hear(ready)
                    elif not (data := os.read(KEYBOARD, 1 << 16)):
                        return  # Ctrl-D
                    else:
                        for line in typed.feed(data):
                            self.say(f"{name}: {line}")
                        if not self.links:
                            show("* nobody has heard that")
        except KeyboardInterrupt:
            show("")
        finally:
            self.say(f"* {name} has left")

    def let_in(self, listener: Listener) -> None:
        with suppress(TimedOut):  # it may have gone already
            self.links[listener.accept(timeout=0)] = Lines()

    def hear(self, link: Channel) -> None:
        if link.closed:
            return
        try:
            lines = self.links[link].feed(link.recv(timeout=0))
        except TimedOut:
            return  # a descriptor may be readable for nothing
        except IsthmusError as error:
            gone = isinstance(error, EndOfChannel)
            self.drop(link, "has gone" if gone else f"is no chat: {error}")
            return
        for line in lines:
            show(line)
            self.say(line, besides=link)

    def say(self, line: str, besides: Channel | None = None) -> None:
        for link in list(self.links):
            if link is besides or link.closed:
                continue
            try:
                send_line(link, line, PATIENCE)
            except BrokenPipeError:
                self.drop(link, "has gone")
            except TimedOut:
                self.drop(link, "does not read what is said, and was left out")
            except IsthmusError as error:
                show(f"* not sent: {error}")

    def drop(self, link: Channel, why: str) -> None:
        show(f"* the other side {why}" + (f" ({link.peer})" if link.peer else ""))
        link.close()
        del self.links[link]
        self.over = not self.links


def main() -> str | None:
    parser = argparse.ArgumentParser(description="talk over any form of channel")
    parser.add_argument("url", help="such as unix:/tmp/chat, tcp:localhost:4000, file:/tmp/log")
    parser.add_argument("--listen", action="store_true", help="be there for others to connect to")
    parser.add_argument("--name", default=os.environ.get("USER", "somebody"))
    args = parser.parse_args()
    try:
        if args.listen:
            with channel.listen(args.url) as listener:
                show(f"listening on {listener.url}")
                Chat(listener, []).talk(args.name)
        else:
            show(f"waiting for {args.url}")
            with channel.connect(args.url, timeout=None) as link:
                show(f"connected to {link.url}")
                Chat(None, [link]).talk(args.name)
    except IsthmusError as error:
        return f"chat: {error}"
    except KeyboardInterrupt:
        pass
    return None


if __name__ == "__main__":
    sys.exit(main())
