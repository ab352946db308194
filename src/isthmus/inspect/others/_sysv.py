"""System V segments, semaphores and message queues, as the kernel lists them."""

from __future__ import annotations

import os

from isthmus.inspect._address import Address
from isthmus.inspect._model import SharedObject
from isthmus.inspect.looking._observed import DIRECTORY, Vanished

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from isthmus.inspect.others._processes import Users

_FILES = {"segment": "shm", "semaphores": "sem", "messages": "msg"}
_IDS = {"segment": "shmid", "semaphores": "semid", "messages": "msqid"}
#: Of its mode: removed already, gone when the last process detaches it.
_DEST = 0o1000
_TIMES = ("atime", "dtime", "stime", "rtime", "otime", "ctime")
# A channel's second queue has its key with this bit the other way round (channel/_sysv_queues).
_BACK = 0x80000000


def sysv_objects(users: Users) -> list[SharedObject]:
    """All of them, in this IPC namespace."""
    channels = channel_keys()
    found = []
    for kind in _FILES:
        for row in rows(kind):
            found.append(_shared(kind, row, users, channels))
    return found


def sysv_object(address: Address, users: Users) -> tuple[SharedObject, Mapping[str, int]]:
    """One of them, and its line in the kernel's list; `Vanished` when there is none."""
    kind = address.kind or "segment"
    for row in rows(kind):
        if row[_IDS[kind]] == address.id:
            return _shared(kind, row, users, channel_keys()), row
    raise Vanished(str(address))


def rows(kind: str) -> Iterator[Mapping[str, int]]:
    """The lines of the kernel's list: numbers by their titles; the mode is that of `perms`."""
    try:
        with open(f"/proc/sysvipc/{_FILES[kind]}", encoding="ascii") as file:
            titles = file.readline().split()
            for line in file:
                words = line.split()
                if len(words) == len(titles):
                    row = {
                        title: int(word, 8 if title == "perms" else 10)
                        for title, word in zip(titles, words, strict=True)
                    }
                    yield row
    except (OSError, ValueError):
        return  # a kernel without them, or one that writes the list in another way


def channel_keys() -> frozenset[int]:
    """Keys of the queues that channels of isthmus have: they have objects of that name."""
    start = "isthmus.channel.sysv."
    keys = set[int]()
    try:
        names = os.listdir(DIRECTORY)
    except OSError:
        return frozenset()
    for name in names:
        if name.startswith(start):
            try:
                key = int(name[len(start) :].partition(".")[0], 16)
            except ValueError:
                continue
            keys.update((key, key ^ _BACK))
    return frozenset(keys)


def latest(row: Mapping[str, int]) -> float | None:
    """When it was last made, changed or used, as far as the kernel tells."""
    return float(max((row.get(time, 0) for time in _TIMES), default=0)) or None


def _shared(
    kind: str, row: Mapping[str, int], users: Users, channels: frozenset[int]
) -> SharedObject:
    id = row[_IDS[kind]]
    address = Address.sysv(kind, id)
    ours = kind == "messages" and row["key"] & 0xFFFFFFFF in channels
    return SharedObject(
        family="sysv",
        kind=kind,
        name=address.name,
        address=str(address),
        library="isthmus" if ours else None,
        path=None,
        size=row.get("size", row.get("cbytes", 0)),
        resident=row.get("rss", row.get("cbytes")),
        uid=row["uid"],
        gid=row["gid"],
        mode=row["perms"] & 0o777,
        created=None,
        changed=latest(row),
        depth=row.get("qnum"),
        users=users.segments.get(id, ()) if kind == "segment" else (),
        # Of a segment the kernel counts those that have it, in whatever namespace. Semaphores and
        # queues are not opened: whoever knows the number may use them.
        in_use=row["nattch"] > 0 if kind == "segment" else None,
    )


def details(kind: str, row: Mapping[str, int]) -> dict[str, object]:
    """What the kernel tells beyond what all objects have."""
    found: dict[str, object] = {"key": f"{row['key'] & 0xFFFFFFFF:#010x}"}
    names = {
        "cpid": "creator",
        "lpid": "last user",
        "lspid": "last sender",
        "lrpid": "last receiver",
        "nattch": "attached",
        "nsems": "semaphores",
        "swap": "swapped",
    }
    found.update({name: row[title] for title, name in names.items() if title in row})
    found.update({title: row[title] for title in _TIMES if row.get(title)})
    if row["perms"] & _DEST:
        found["removed"] = True
    return found
