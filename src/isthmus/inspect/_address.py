"""What a word on the command line, or an argument, names: an object of isthmus or of others."""

from __future__ import annotations

import os
from dataclasses import dataclass

from isthmus import _arguments, _explain
from isthmus._core import memory
from isthmus.errors import ArgumentError, NotFoundError
from isthmus.inspect.looking._observed import DIRECTORY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isthmus.inspect._model import Family

#: What the names of typed objects and of channels' sockets begin with, as files.
PREFIX, SOCKET_PREFIX, DRAFT_PREFIX = "isthmus.", "isthmus-channel.", ".isthmus-draft-"
_SYSV = {"sysv-shm": "segment", "sysv-sem": "semaphores", "sysv-msg": "messages"}
_SCHEMES = ("isthmus", "posix", "mq", "socket", *_SYSV)


@dataclass(frozen=True, slots=True)
class Address:
    """Where an object is, whether or not there is one.

    ``camera/front`` is an object of isthmus; if there is none, the POSIX shared memory object of
    that name. To be plain: ``isthmus:NAME``, ``posix:NAME``, ``mq:NAME`` (a POSIX message queue),
    ``socket:NAME`` (where a channel listens), ``sysv-shm:ID``, ``sysv-sem:ID``, ``sysv-msg:ID``.
    """

    family: Family
    #: Of the kinds that only some families have: "socket", "segment", "semaphores", "messages";
    #: None: a typed object, or what a POSIX name stands for.
    kind: str | None
    name: str
    path: str | None = None
    id: int | None = None

    def __str__(self) -> str:
        if self.family == "sysv":
            scheme = next(scheme for scheme, kind in _SYSV.items() if kind == self.kind)
            return f"{scheme}:{self.id}"
        if self.family == "mqueue":
            return f"mq:{self.name.lstrip('/')}"
        if self.kind == "socket":
            return f"socket:{self.name}"
        if self.family == "posix":
            return f"posix:{self.name.lstrip('/')}"
        scheme, colon, _ = self.name.partition(":")
        return f"isthmus:{self.name}" if colon and scheme in _SCHEMES else self.name

    @classmethod
    def parse(cls, text: str) -> Address:
        """Raises `ArgumentError` where no object can be called so."""
        if not isinstance(text, str):
            raise TypeError(f"an address is text or an Address, not {type(text).__name__}")
        scheme, colon, rest = text.partition(":")
        if not colon or scheme not in _SCHEMES:
            ours = cls.typed(text)
            name = text.removeprefix("/")
            if not os.path.lexists(ours.path or "") and name and "/" not in name:
                other = cls.posix(text)
                if os.path.lexists(other.path or ""):
                    return other
            return ours
        if scheme == "isthmus":
            return cls.typed(rest)
        if scheme == "posix":
            return cls.posix(rest)
        if scheme == "mq":
            return cls("mqueue", "messages", _slashed(_arguments.posix_name(rest)))
        if scheme == "socket":
            file = _file(rest).removeprefix(PREFIX)
            return cls("isthmus", "socket", rest, f"{DIRECTORY}/{SOCKET_PREFIX}{file}")
        if not (rest.isascii() and rest.isdigit()):
            raise ArgumentError(f"{text!r}: after {scheme}: comes the number that ipcs calls an id")
        return cls("sysv", _SYSV[scheme], f"{scheme[5:]} {rest}", None, int(rest))

    @classmethod
    def typed(cls, name: str) -> Address:
        """The object of isthmus that is called so."""
        return cls("isthmus", None, name, f"{DIRECTORY}/{_file(name)}")

    @classmethod
    def posix(cls, name: str) -> Address:
        """The POSIX shared memory object that is called so."""
        slashed = _slashed(_arguments.posix_name(name))
        return cls("posix", None, slashed, f"{DIRECTORY}{slashed}")

    @classmethod
    def sysv(cls, kind: str, id: int) -> Address:
        """`kind`: "segment", "semaphores" or "messages"."""
        scheme = next(scheme for scheme, found in _SYSV.items() if found == kind)
        return cls("sysv", kind, f"{scheme[5:]} {id}", None, id)

    @property
    def typed_object(self) -> bool:
        """Whether it is that of an object of isthmus with a header."""
        return self.family == "isthmus" and self.kind is None

    def missing(self) -> NotFoundError:
        """The error for one that is not there."""
        return NotFoundError(
            f"there is nothing called {str(self)!r}; `isthmus ls` lists what there is",
            name=self.name,
        )


def _file(name: str) -> str:
    """What the file of a typed object of this name is called."""
    encoded = os.fsencode(_arguments.name(name))
    try:
        return os.fsdecode(memory.escape(encoded))
    except OSError:
        raise _explain.name_too_long(name, encoded) from None


def _slashed(name: str) -> str:
    return name if name.startswith("/") else f"/{name}"
