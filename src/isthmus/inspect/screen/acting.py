"""What is asked before something is done, and what is said after it.

A question says what will happen, and to whom, in the words of those it happens to.
"""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.cli.output import safe, size_text
from isthmus.errors import IsthmusError
from isthmus.inspect.screen.sections import who

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from isthmus.inspect._model import Member, SharedObject
    from isthmus.inspect.screen.source import Source

# Objects, participants or errors that are named; of the others, how many.
_NAMED = 5
_AFTER = (
    "Those who have it go on with what they have, alone: nobody can open it any more, and who "
    "opens the name next makes a new one."
)


@dataclass(frozen=True, slots=True)
class Question:
    """To be answered by yes or no."""

    title: str
    lines: tuple[str, ...]
    #: What the button for yes says.
    verb: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it: messages for what was done, and for what could not be."""

    done: tuple[str, ...]
    failed: tuple[str, ...]


def called(shared: SharedObject) -> str:
    return f"{shared.kind} {safe(shared.name)}"


def used(shared: SharedObject) -> bool:
    """Whether removing it may take it away from somebody."""
    return bool(shared.alive or shared.users) or shared.in_use is not False


def removal(objects: Sequence[SharedObject]) -> Question:
    """Before objects are removed."""
    if len(objects) == 1:
        title = f"Remove {called(objects[0])}?"
    else:
        title = f"Remove {len(objects)} objects?"
    lines = []
    for shared in objects[:_NAMED]:
        lines.append(f"{called(shared)}: {_loss(shared)}")
    if len(objects) > _NAMED:
        lines.append(f"… and {len(objects) - _NAMED} more")
    busy = [shared for shared in objects if used(shared)]
    if busy:
        lines += ["", f"{_in_use(busy, len(objects))} {_AFTER}"]
    return Question(title, tuple(lines), "Remove")


def _in_use(busy: Sequence[SharedObject], of: int) -> str:
    known = sum(bool(shared.alive or shared.users or shared.in_use) for shared in busy)
    verb = "is" if known else "may be"
    if of == 1:
        return f"It {verb} in use."
    return (
        f"One of them {verb} in use."
        if len(busy) == 1
        else (f"{len(busy)} of them {'are' if known else 'may be'} in use.")
    )


def _loss(shared: SharedObject) -> str:
    parts = []
    if shared.alive:
        parts.append(_number(shared.alive, "participant"))
    elif shared.users:
        named = ", ".join(str(process.pid) for process in shared.users[:_NAMED])
        more = "…" if len(shared.users) > _NAMED else ""
        parts.append(f"{_number(len(shared.users), 'process', 'es')} ({named}{more})")
    elif shared.in_use:
        parts.append("in use")
    elif shared.in_use is None:
        parts.append("not known whether it is in use")
    else:
        parts.append("nobody uses it")
    if shared.depth:
        parts.append(f"{_number(shared.depth, 'message')} in it will be lost")
    parts.append(size_text(shared.size))
    return ", ".join(parts)


def evictable(shared: SharedObject, member: Member) -> bool:
    """Whether there is anything that can be taken from it while it lives, or after its death."""
    if shared.kind == "topic" and member.alive:
        return "subscriber" in member.roles
    return not member.alive or shared.kind == "queue"


def eviction(shared: SharedObject, member: Member) -> Question:
    """Before a participant is evicted that is `evictable`."""
    title = f"Evict {who(member)}?"
    if not member.alive:
        what = "It is dead. What it left behind is put in order now."
    elif shared.kind == "topic":
        behind = f" It is {_number(member.lag, 'message')} behind." if member.lag else ""
        what = (
            f"It is a {_role(member)} of {called(shared)}.{behind} Publishers do not wait for it "
            "any more. It is not ended: it goes on reading, and is told what it has missed."
        )
        if member.pinned:
            what += " What it has in view stays; publishers that come round to it wait for that."
    else:
        share = _number(member.share, "message")
        leases = f"The {share} that it works on" if member.share else "Messages that it works on"
        what = (
            f"It is a {_role(member)} of {called(shared)}. {leases} go to others, and may be "
            "done twice. It is not ended: it is told so when it acknowledges."
        )
    return Question(title, (what,), "Evict")


def _role(member: Member) -> str:
    return " and ".join(member.roles) or "participant"


def shutting_down(shared: SharedObject) -> Question:
    """Before a queue is shut down."""
    waiting = _number(shared.depth or 0, "message")
    return Question(
        f"Shut down {called(shared)}?",
        (
            f"Nobody can put into it any more: whoever tries gets ShutDown, also those of its "
            f"{_number(shared.alive or 0, 'participant')} that wait for room.",
            f"The {waiting} in it can still be got. After that, consumers get ShutDown too.",
            "This cannot be undone.",
        ),
        "Shut down",
    )


def remove_all(source: Source, objects: Sequence[SharedObject]) -> Outcome:
    """Remove what the question has named: by force only what it said is in use, or may be."""

    def remove(shared: SharedObject) -> str:
        return source.remove(shared, force=used(shared))

    return _each(remove, objects)


def evict(source: Source, shared: SharedObject, member: Member) -> Outcome:
    return _each(lambda one: source.evict(one.address, member), [shared])


def shut_down(source: Source, shared: SharedObject) -> Outcome:
    return _each(source.shut_down, [shared])


def _each(act: Callable[[SharedObject], str], objects: Sequence[SharedObject]) -> Outcome:
    done, failed = [], []
    for shared in objects:
        try:
            done.append(act(shared))
        except (IsthmusError, OSError) as error:
            text = safe(str(error))
            failed.append(text if safe(shared.name) in text else f"{called(shared)}: {text}")
    return Outcome(tuple(done), tuple(failed))


def brief(messages: Sequence[str]) -> str:
    """Messages for one notification."""
    lines = list(messages[:_NAMED])
    if len(messages) > _NAMED:
        lines.append(f"… and {len(messages) - _NAMED} more")
    return "\n".join(lines)


def _number(count: int, noun: str, plural: str = "s") -> str:
    return f"{count} {noun}{'' if count == 1 else plural}"
