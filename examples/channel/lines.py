"""Lines of text over channels, in as many messages as the form of the channel makes necessary.

Most forms carry a line in one message. A signal carries 7 bytes, a message queue some thousand:
there, a line goes in pieces, and whoever receives puts them together again.
"""

from isthmus.channel import Channel

# Bytes. Somebody who never ends a line is not to fill our memory.
LONGEST = 1 << 16


def pieces(text: str, largest: int) -> list[bytes]:
    """The messages that carry a line.

    >>> pieces("hello, world", 7)
    [b'\\nhello,', b' world\\n']
    """
    line = text.encode(errors="replace") + b"\n"
    if len(line) > largest:
        # Should somebody have died in the middle of a line, that one ends here.
        line = b"\n" + line
    return [line[at : at + largest] for at in range(0, len(line), largest)]


class Lines:
    """Puts together what comes in pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[str]:
        """The lines that end in this piece; empty ones are left out.

        >>> lines = Lines()
        >>> lines.feed(b"one\\ntw"), lines.feed(b"o\\n")
        (['one'], ['two'])
        """
        *whole, rest = (self._rest + piece).split(b"\n")
        self._rest = rest if len(rest) <= LONGEST else b""
        return [_shown(line) for line in whole if line]


def send_line(channel: Channel, text: str, timeout: float | None = None) -> None:
    for piece in pieces(text, channel.largest):
        channel.send(piece, timeout)


def _shown(line: bytes) -> str:
    """As text, without what would make a terminal do things."""
    text = line.decode(errors="replace")
    return "".join(character if character.isprintable() else "?" for character in text)
