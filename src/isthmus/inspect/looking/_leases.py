"""The messages of a queue that are being worked on, and those that are damaged: by a walk."""

from __future__ import annotations

from isthmus.errors import IsthmusError
from isthmus.inspect._model import LeaseState, Problem
from isthmus.inspect.messages._records import RingReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.inspect._model import Member
    from isthmus.inspect.looking._look import Look
    from isthmus.inspect.looking._observed import Observed

# Records that are looked at: some tenths of a second. Leased ones are among the first as a rule.
_MOST = 50_000
# Damaged records that are told one by one.
_TOLD = 5


def walk(
    found: Look, observed: Observed, members: tuple[Member, ...]
) -> tuple[tuple[LeaseState, ...], tuple[Problem, ...]]:
    """Look at the records of a queue or topic, from the oldest on, and at what was set aside."""
    if found.cursors is None:
        return (), ()
    workers = {member.slot: member for member in members}
    leases, damaged = [], []
    try:
        reader = RingReader(observed)
        for aside in (False, True):
            for record in reader.records(limit=_MOST, aside=aside):
                if not record.sound or record.problem:
                    damaged.append((record.position, record.problem or "it is damaged"))
                    if not record.sound:
                        continue
                if record.state != "leased" or record.worker is None:
                    continue
                worker = workers.get(record.worker)
                leases.append(
                    LeaseState(
                        number=record.number,
                        position=record.position,
                        size=record.size,
                        attempts=record.attempts,
                        worker=worker,
                        since=None if worker is None else worker.share_since,
                    )
                )
    except IsthmusError:
        pass  # damaged: `Typed` has said so already
    return tuple(leases), _problems(damaged, found.typed.kind == 10)


def _problems(damaged: list[tuple[int, str]], queue: bool) -> tuple[Problem, ...]:
    remedy = "Subscribers are told once, and go on behind it."
    if queue:
        remedy = (
            "Who gets it is told, again and again: `isthmus repair --lossy` drops it and keeps the "
            "rest, `clear()` drops everything."
        )
    told = [
        Problem("damage", f"The record at position {position}: {why}.", remedy)
        for position, why in damaged[:_TOLD]
    ]
    if len(damaged) > _TOLD:
        more = f"So are {len(damaged) - _TOLD} more records."
        told.append(Problem("damage", more, remedy))
    return tuple(told)
