"""What all handles have in common that take part: finding, making, copying, describing, closing."""

from __future__ import annotations

import errno
import os

from isthmus import _arguments, _explain, _opening, _primitive_errors as _errors, _reopen
from isthmus._core import memory
from isthmus._origin import HEADER_SIZE, Origin
from isthmus.errors import (
    ArgumentError,
    ClosedError,
    InUseError,
    MismatchError,
    UnsupportedError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Protocol, Self, SupportsIndex

    class Plan(Protocol):
        """What a new one shall be like, and what must be true of one that is there already."""

        core: Any
        size: int
        wanted: dict[str, object]


class Handle:
    """A handle, which is a participant of its own. Mixed in beside a class of the binding.

    `settings`, in all of these, is what one handle can have different from another to the same.
    """

    __slots__ = ()

    _KIND = 0

    if TYPE_CHECKING:
        # Of the binding.
        @property
        def _origin(self) -> Any: ...
        @_origin.setter
        def _origin(self, origin: Origin) -> None: ...

        _create: Any
        _attach: Any
        _from_fd: Any
        _anonymous: Any
        _close: Any
        _unlink: Any
        _fileno: Any

        @property
        def closed(self) -> bool: ...

    # What each kind says.

    def _adopt(self, settings: Any) -> None:
        """Behave as they say."""
        raise NotImplementedError

    def _found(self) -> dict[str, object]:
        """What it was made with, in the words of the constructors."""
        raise NotImplementedError

    def _kept(self) -> tuple[Any, ...]:
        """What a copy takes over from this handle: the arguments of its `_keep`."""
        raise NotImplementedError

    def _keep(self, *kept: Any) -> None:
        raise NotImplementedError

    # ---- Making and opening --------------------------------------------------------

    def _open_named(
        self,
        name: str | None,
        plan: Plan,
        settings: Any,
        mode: SupportsIndex,
        owner: SupportsIndex | str | None,
        open_timeout: float,
    ) -> None:
        """What constructors do: open it or make it; name None: make an anonymous one."""
        bits, uid = _arguments.mode(mode), _arguments.owner(owner)
        seconds = _arguments.timeout(open_timeout)
        if name is None:
            self._make_anonymous(plan)
        else:
            self._attach_or_create(name, plan, bits, uid, seconds)
        self._adopt(settings)

    def _attach_or_create(
        self, name: str, plan: Plan, mode: int, owner: int, seconds: float
    ) -> None:
        def attach() -> None:
            self._attach_named(name, owner, seconds)
            self._compare(plan.wanted)

        def create() -> None:
            self._create_named(name, plan, mode, -1, -1)

        _opening.open_or_create(attach, create, self._called(name), name)

    @classmethod
    def _created(
        cls,
        name: str,
        plan: Plan,
        settings: Any,
        mode: SupportsIndex = 0o600,
        owner: SupportsIndex | str | None = None,
        group: SupportsIndex | str | None = None,
    ) -> Self:
        """What `create` does."""
        self = cls.__new__(cls)
        uid, gid = _arguments.new_owner(owner), _arguments.new_group(group)
        self._create_named(name, plan, _arguments.mode(mode), uid, gid)
        self._adopt(settings)
        return self

    @classmethod
    def _attached(
        cls,
        name: str,
        settings: Any,
        wanted: Mapping[str, object] | None = None,
        owner: SupportsIndex | str | None = None,
        open_timeout: float = 1.0,
    ) -> Self:
        """What `attach` does."""
        self = cls.__new__(cls)
        self._attach_named(name, _arguments.owner(owner), _arguments.timeout(open_timeout))
        self._compare(wanted or {})
        self._adopt(settings)
        return self

    def _create_named(self, name: str, plan: Plan, mode: int, owner: int, group: int) -> None:
        what, (encoded, path) = self._called(name), paths(name)
        try:
            self._create(encoded, plan.core, mode, owner, group)
        except OSError as error:
            size = plan.size + HEADER_SIZE
            raise _errors.opening(error, what, name, path, self._KIND, size) from None
        self._origin = Origin(what, True, name, path)

    def _attach_named(self, name: str, owner: int, seconds: float) -> None:
        what, (encoded, path) = self._called(name), paths(name)

        def attempt() -> None:
            try:
                self._attach(encoded, self._KIND, owner)
            except OSError as error:
                raise _errors.opening(error, what, name, path, self._KIND) from None

        _opening.when_ready(attempt, seconds)
        self._origin = Origin(what, False, name, path)

    def _make_anonymous(self, plan: Plan | None) -> None:
        what = self._called(None)
        if plan is None:
            raise ArgumentError(f"{what} cannot be attached to, only made: say what it shall be")
        try:
            self._anonymous(plan.core)
        except OSError as error:
            if error.errno in (errno.ENOMEM, errno.ENOSPC):
                raise _explain.no_memory(what, None, plan.size) from None
            if error.errno == errno.EFBIG:
                raise _explain.larger_than_files(what, None, plan.size) from None
            raise _errors.opening(error, what, None, b"", self._KIND) from None
        self._origin = Origin(what, True)

    def _compare(self, wanted: Mapping[str, object]) -> None:
        """MismatchError, and closed, if what has been opened is not what was asked for."""
        found = self._found()
        differences = [
            f"{what}={found[what]!r}, not {value!r}"
            for what, value in wanted.items()
            if found[what] != value
        ]
        if differences:
            what, name = self._origin.what, self._origin.name
            self._close()
            raise MismatchError(
                f"{what} exists with {'; '.join(differences)}. Ask for it as it is, or choose "
                "another name",
                name=name,
            )

    @classmethod
    def _called(cls, name: str | None) -> str:
        noun = _errors.NOUNS[cls._KIND]
        return f"anonymous {noun}" if name is None else f"{noun} {name!r}"

    # ---- What it is ----------------------------------------------------------------

    @property
    def name(self) -> str | None:
        """The name, as it was given; of one in a segment, that of the segment; or None."""
        return None if self._origin is None else self._origin.name

    @property
    def created(self) -> bool:
        """Whether this handle made it, rather than found it."""
        created: bool = self._origin.created
        return created

    def __repr__(self) -> str:
        origin = self._origin
        if origin is None:
            return f"<isthmus.{type(self).__name__}, not open>"
        if origin.segment is not None:
            label = f"at {origin.offset} of {origin.segment!r}"
        else:
            label = "anonymous" if origin.name is None else repr(origin.name)
        state = ", closed" if self.closed else self._state()
        return f"<isthmus.{type(self).__name__} {label}{state}>"

    def _state(self) -> str:
        """What is to be seen of an open one."""
        return ""

    # ---- Its end -------------------------------------------------------------------

    def close(self) -> None:
        """End the use of this handle. May be called twice.

        What it holds counts as held by one that died. When this was the last open handle in
        all processes, a named object is removed, unless it was made with `persist=True`.

        InUseError: another thread is waiting on this handle; nothing has happened.
        """
        if not self._close():
            raise InUseError(
                f"{self._origin.what} cannot be closed: {self._in_use()}", name=self.name
            )

    def _in_use(self) -> str:
        """Why it cannot be closed."""
        return "a thread is waiting on this handle"

    def unlink(self) -> None:
        """Remove the name now. Whoever has it open keeps it; who comes later makes a new one.

        NotFoundError: the name is gone. ReplacedError: it stands for another object, which is
        left alone. AccessError. UnsupportedError: anonymous, or in a segment. ClosedError.
        """
        origin = self._not_closed()
        if not origin.path:
            raise UnsupportedError(f"{origin.what} has no name of its own", name=origin.name)
        try:
            self._unlink()
        except OSError as error:
            raise _explain.unlinking(error, origin.what, origin.name) from None

    def _not_closed(self) -> Origin:
        if self.closed:
            raise ClosedError(f"{_errors.described(self)[0]} has been closed", name=self.name)
        origin: Origin = self._origin
        return origin

    # ---- Copies --------------------------------------------------------------------

    def __copy__(self) -> Self:
        """Another handle to the same, as pickling makes one: another participant."""
        reopen, arguments = self._recipe()
        same: Self = reopen(*arguments)
        return same

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.__copy__()

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        reopen, arguments = self._recipe()
        if reopen is _reopen.anonymous:
            # Travels as a descriptor: only to processes that multiprocessing can pass one to.
            from multiprocessing import reduction

            return _reopen.passed, (*arguments[:2], reduction.DupFd(arguments[2]))
        return reopen, arguments

    def _recipe(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        origin = self._not_closed()
        if origin.segment is not None:
            return _reopen.placed, (type(self), self._kept(), origin.segment, origin.offset)
        if origin.path:
            identity = memory.status(self._fileno())[:2]
            return _reopen.named, (type(self), self._kept(), origin.name, identity)
        return _reopen.anonymous, (type(self), self._kept(), self._fileno())


def paths(name: str) -> tuple[bytes, bytes]:
    """A user's name as bytes, and the path of its object."""
    encoded = os.fsencode(_arguments.name(name))
    try:
        return encoded, memory.posix_path(memory.escape(encoded))
    except OSError:
        raise _explain.name_too_long(name, encoded) from None
