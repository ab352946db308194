"""Obey commands of any number of clients (command.py), over any form of channel, with asyncio.

    command_server.py URL

A client sends lines, ``TOKEN COMMAND WORDS``, and gets a line ``=TOKEN ok|error TEXT`` for each.
The token is the client's own choice: where all clients hear all answers (file:), or an answer waits
for a client that died (mq:, sysv:), each knows its own by it.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable
from time import monotonic

from lines import Lines, pieces

from isthmus.aio import channel
from isthmus.errors import IsthmusError

# Who does not read its answers for so many seconds is sent away.
PATIENCE = 5.0


class Server:
    def __init__(self, listener: channel.Listener) -> None:
        self.listener = listener
        self.clients: set[channel.Channel] = set()
        self.began = monotonic()
        self.obeyed = 0
        self.stopping = False
        self.commands: dict[str, Callable[[list[str]], str]] = {
            "echo": " ".join,
            "help": lambda _: " ".join(sorted(self.commands)),
            "list": lambda _: ", ".join(sorted(each.peer or "?" for each in self.clients)),
            "status": self.status,
            "stop": self.stop,
            "sum": lambda words: f"{sum(map(float, words)):g}",
        }

    def status(self, _: list[str]) -> str:
        return (
            f"{len(self.clients)} connected, {self.obeyed} commands obeyed, "
            f"up for {monotonic() - self.began:.1f} s"
        )

    def stop(self, _: list[str]) -> str:
        self.stopping = True  # when this has been sent
        return "goodbye"

    def answer(self, line: str) -> str:
        """Whatever comes, something can be said to it."""
        token, *words = line.split() or [""]
        command = self.commands.get(words[0]) if words else None
        if command is None:
            return f"={token[:20]} error there are: {' '.join(sorted(self.commands))}"
        try:
            answer = command(words[1:])
        except ValueError as error:
            return f"={token} error {error}"
        self.obeyed += 1
        return f"={token} ok {answer}"

    async def serve(self, client: channel.Channel) -> None:
        self.clients.add(client)
        lines = Lines()
        try:
            async with client:
                async for message in client:
                    for line in lines.feed(message):
                        for piece in pieces(self.answer(line), client.largest):
                            await client.send(piece, timeout=PATIENCE)
                    if self.stopping:
                        self.listener.close()
        except IsthmusError as error:
            # It has gone, sent what is no message, or does not read: all others are served on.
            if not self.stopping:
                print(f"{client.peer or 'a client'}: {error}", file=sys.stderr, flush=True)
        finally:
            self.clients.discard(client)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            async for client in self.listener:
                tasks.create_task(self.serve(client))
            for client in self.clients:
                client.close()


async def serve(url: str) -> None:
    async with channel.listen(url) as listener:
        print(f"listening on {listener.url}", flush=True)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, listener.close)
        await Server(listener).run()


def main() -> str | None:
    parser = argparse.ArgumentParser(description="obey commands of any number of clients")
    parser.add_argument("url")
    args = parser.parse_args()
    try:
        asyncio.run(serve(args.url))
    except IsthmusError as error:
        return f"command_server: {error}"
    return None


if __name__ == "__main__":
    sys.exit(main())
