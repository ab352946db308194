"""Messages of a queue whose record is sound and whose content is not: nobody can read them.

Whoever gets one is told, and it stays, so that nothing behind it is reached.
"""

from __future__ import annotations

from isthmus.errors import IsthmusError
from isthmus.inspect.messages import _elements, _plain_value
from isthmus.inspect.messages._record import TYPES
from isthmus.inspect.messages._records import RingReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.inspect.looking._observed import Observed
    from isthmus.inspect.messages._record import Record


def unreadable(observed: Observed) -> list[tuple[Record, str]]:
    """Those that are ready, with what is wrong. Pickles are not looked into: that runs code."""
    found: list[tuple[Record, str]] = []
    try:
        reader = RingReader(observed)
    except IsthmusError:
        return found
    for record in reader.records():
        if record.sound and record.state == "ready":
            why = _wrong(reader, record)
            if why:
                found.append((record, why))
    return found


def _wrong(reader: RingReader, record: Record) -> str | None:
    kind = TYPES.get(record.type)
    if kind not in ("text", "value", "array"):
        return None  # any bytes will do; or programs have agreed upon what it is
    content = reader.content(record, limit=0 if kind == "array" else None)
    if content is None:
        return None  # gone meanwhile
    try:
        if kind == "text":
            content.payload.decode()
        elif kind == "value":
            _plain_value.decode(content.payload)
        else:
            _elements.elements(content.meta, record.size)
    except ValueError as error:
        return str(error)
    return None
