"""What is shared on this host: whose it is, who holds it, who is slow, what leaked.

`objects` lists everything that processes share, of isthmus and of others; `info` tells all about
one object, `dump` what is in it, `Watch` how it changes. `doctor` looks at the machine. `metrics`
is for monitoring. All of these only read: they map files for reading, take no lock, and wake
nobody up. `gc`, `remove`, `evict`, `shut_down` and `repair` act.

The command ``isthmus`` shows the same in a terminal.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.inspect._address import Address as Address
    from isthmus.inspect._collector import Collector as Collector
    from isthmus.inspect._doctor import Finding as Finding, doctor as doctor
    from isthmus.inspect._metrics import Metric as Metric, Sample as Sample, metrics as metrics
    from isthmus.inspect._model import (
        Info as Info,
        LeaseState as LeaseState,
        LockState as LockState,
        Member as Member,
        Problem as Problem,
        Process as Process,
        Region as Region,
        SharedObject as SharedObject,
        to_dict as to_dict,
    )
    from isthmus.inspect._objects import (
        Sight as Sight,
        Watch as Watch,
        blind_spots as blind_spots,
        info as info,
        objects as objects,
        rates as rates,
    )
    from isthmus.inspect.acting._acting import (
        Eviction as Eviction,
        evict as evict,
        shut_down as shut_down,
    )
    from isthmus.inspect.acting._gc import Stale as Stale, gc as gc
    from isthmus.inspect.acting._remove import remove as remove
    from isthmus.inspect.acting._repair import Repair as Repair, repair as repair
    from isthmus.inspect.dumping._dump import dump as dump, payload as payload
    from isthmus.inspect.dumping._dump_model import (
        Dump as Dump,
        Field as Field,
        Message as Message,
        Part as Part,
        Piece as Piece,
    )
    from isthmus.inspect.messages._record import Record as Record

__all__ = [
    "Address",
    "Collector",
    "Dump",
    "Eviction",
    "Field",
    "Finding",
    "Info",
    "LeaseState",
    "LockState",
    "Member",
    "Message",
    "Metric",
    "Part",
    "Piece",
    "Problem",
    "Process",
    "Record",
    "Region",
    "Repair",
    "Sample",
    "SharedObject",
    "Sight",
    "Stale",
    "Watch",
    "blind_spots",
    "doctor",
    "dump",
    "evict",
    "gc",
    "info",
    "metrics",
    "objects",
    "payload",
    "rates",
    "remove",
    "repair",
    "shut_down",
    "to_dict",
]

# Where each of them is found.
_HOME = {
    "Address": "_address",
    "Collector": "_collector",
    "Dump": "dumping._dump_model",
    "Eviction": "acting._acting",
    "Field": "dumping._dump_model",
    "Finding": "_doctor",
    "Info": "_model",
    "LeaseState": "_model",
    "LockState": "_model",
    "Member": "_model",
    "Message": "dumping._dump_model",
    "Metric": "_metrics",
    "Part": "dumping._dump_model",
    "Piece": "dumping._dump_model",
    "Problem": "_model",
    "Process": "_model",
    "Record": "messages._record",
    "Region": "_model",
    "Repair": "acting._repair",
    "Sample": "_metrics",
    "SharedObject": "_model",
    "Sight": "_objects",
    "Stale": "acting._gc",
    "Watch": "_objects",
    "blind_spots": "_objects",
    "doctor": "_doctor",
    "dump": "dumping._dump",
    "evict": "acting._acting",
    "gc": "acting._gc",
    "info": "_objects",
    "metrics": "_metrics",
    "objects": "_objects",
    "payload": "dumping._dump",
    "rates": "_objects",
    "remove": "acting._remove",
    "repair": "acting._repair",
    "shut_down": "acting._acting",
    "to_dict": "_model",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
