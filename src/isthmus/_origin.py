"""Where what a handle stands for is to be found."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.segment import Segment

# Room for participants unless told otherwise, and at most.
PARTICIPANTS, PARTICIPANTS_MAX = 256, 32768
HEADER_SIZE = 256


class Origin:
    """Of one handle."""

    __slots__ = ("created", "name", "offset", "path", "segment", "what")

    def __init__(
        self,
        what: str,
        created: bool,
        name: str | None = None,
        path: bytes = b"",
        segment: Segment | None = None,
        offset: int = 0,
    ) -> None:
        self.what = what  # for messages
        self.created = created
        self.name = name
        self.path = path  # of an object with a name
        self.segment = segment
        self.offset = offset
