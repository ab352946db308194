"""`Array`: a named numpy array in shared memory."""

from __future__ import annotations

import os

from isthmus import _arguments, _dtype, _explain, _opening
from isthmus._core import memory
from isthmus.errors import (
    ArgumentError,
    ClosedError,
    CorruptError,
    IsthmusError,
    KindError,
    MismatchError,
)
from isthmus.segment import Segment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Self, SupportsIndex

    import numpy
    import numpy.typing as npt

    from isthmus._backing import Backing
    from isthmus._core.memory import Mapping
    from isthmus.lock import RLock

# enum isthmus_kind
_KIND = 1


class Array:
    """A numpy array that every process can have by its name.

    Shape and dtype stand in the shared memory, so whoever attaches needs the name only.
    The elements start as zeros. There is no copy anywhere: what one process writes into
    `np`, the others see there. Who writes when is up to the participants, for whom there is
    `lock`.

    ``Array(name, shape, dtype)`` opens the array, or creates it if it is not there;
    ``Array(name)`` attaches to it. `Array.create` insists on making it, `Array.attach` on
    finding it.

    The name stays until somebody calls `unlink`. `close` ends the use of this handle;
    `np`, and whatever was made from it, stays valid for as long as it lives.

    >>> import isthmus, os
    >>> name = f"doc/array-{os.getpid()}"
    >>> with isthmus.Array(name, (2, 3), "f8") as a:
    ...     with a.lock:
    ...         a.np[:] = 7
    ...     with isthmus.Array(name) as same:
    ...         print(same.shape, same.dtype, same.np.sum())
    ...     a.unlink()
    (2, 3) float64 42.0
    """

    __slots__ = (
        "__weakref__",
        "_dtype",
        "_lock_offset",
        "_locks",
        "_name",
        "_np",
        "_segment",
        "_shape",
    )

    _name: str | None
    _segment: Segment
    _np: numpy.ndarray[Any, Any] | None
    _shape: tuple[int, ...]
    _dtype: numpy.dtype[Any]
    _lock_offset: int
    _locks: dict[str, RLock]  # none, or the one

    def __init__(
        self,
        name: str | None,
        shape: SupportsIndex | tuple[SupportsIndex, ...] | None = None,
        dtype: npt.DTypeLike | None = None,
        *,
        order: str | None = None,
        readonly: bool = False,
        mode: SupportsIndex = 0o600,
        owner: SupportsIndex | str | None = None,
        timeout: float = 1.0,
    ) -> None:
        """Attach to the array `name`, or, when a shape is given, open or create it.

        Args:
            name: 1 to 247 bytes as UTF-8, any characters but NUL; each slash, percent sign
                and control character counts as three. None makes an anonymous array, which
                reaches other processes by fork or as an argument of `multiprocessing` and
                goes with the last of them; it takes a shape and none of the options below `order`.
            shape: lengths of the dimensions, at most 64 (32 before numpy 2); None attaches
                only.
            dtype: any numpy dtype without Python objects, structured ones included;
                float64 if a shape is given without a dtype.
            order: ``"C"`` (default) or ``"F"``, for a new array; an existing one must have it
                if given.
            readonly: attach for reading only; `np` is then not writable.
            mode: permission bits of a new array, exact.
            owner: whose an existing array may be: a uid or name, ``"any"``, or None for the
                effective user.
            timeout: seconds to wait, at most, while another program is still making it.

        Raises:
            NotFoundError: it is not there, and no shape was given (or `readonly`).
            MismatchError: it is there with another shape, dtype or order.
            KindError, ForeignError, VersionError, LayoutError, TruncatedError, CorruptError,
            NotReadyError: what is there is not an array, each for its own reason.
            NoSpaceError, NameInvalidError, SizeError, ArgumentError, AccessError, OwnerError.

        A process killed in here leaves nothing, or a complete array.
        """
        if shape is None:
            if dtype is not None or order is not None:
                raise ArgumentError("a dtype or order without a shape: give both, or neither")
            if name is None:
                raise ArgumentError("an anonymous array needs a shape")
            self._attach(name, readonly, owner, timeout)
            return
        plan = _Plan(name, shape, dtype, order)
        if name is None:
            if readonly:
                raise ArgumentError("a new array is not attached read-only")
            backing, mapping = _opening.create_anonymous(plan.layout.size, "isthmus.Array")
            plan.layout.write(mapping)
            self._adopt(None, Segment._over(backing, mapping, True), mapping)
            return

        def attach() -> None:
            self._attach(name, readonly, owner, timeout)
            try:
                plan.compare(self)
            except MismatchError:
                self.close()
                raise

        if readonly:
            attach()
        else:

            def create() -> None:
                self._create(name, plan, mode, None, None)

            _opening.open_or_create(attach, create, plan.what, name)

    @classmethod
    def create(
        cls,
        name: str,
        shape: SupportsIndex | tuple[SupportsIndex, ...],
        dtype: npt.DTypeLike | None = None,
        *,
        order: str | None = None,
        mode: SupportsIndex = 0o600,
        owner: SupportsIndex | str | None = None,
        group: SupportsIndex | str | None = None,
    ) -> Self:
        """Make the array `name`, which must not exist: ExistsError. See the class.

        Args:
            owner, group: a uid/gid or name to give it to; takes privileges.
        """
        self = cls.__new__(cls)
        self._create(name, _Plan(name, shape, dtype, order), mode, owner, group)
        return self

    @classmethod
    def attach(
        cls,
        name: str,
        *,
        readonly: bool = False,
        owner: SupportsIndex | str | None = None,
        timeout: float = 1.0,
    ) -> Self:
        """Attach to the array `name`, which must exist: NotFoundError. See the class."""
        self = cls.__new__(cls)
        self._attach(name, readonly, owner, timeout)
        return self

    def _create(
        self,
        name: str,
        plan: _Plan,
        mode: SupportsIndex,
        owner: SupportsIndex | str | None,
        group: SupportsIndex | str | None,
    ) -> None:
        backing, mapping = _opening.new_posix(
            name,
            plan.what,
            plan.path,
            plan.layout.size,
            _arguments.mode(mode),
            _arguments.new_owner(owner),
            _arguments.new_group(group),
            plan.layout.write,
        )
        self._adopt(name, Segment._over(backing, mapping, True), mapping)

    def _attach(
        self,
        name: str,
        readonly: bool,
        owner: SupportsIndex | str | None,
        timeout: float,
    ) -> None:
        path, what = _path(name), _what(name)
        uid, seconds = _arguments.owner(owner), _arguments.timeout(timeout)

        def attempt() -> None:
            found = _opening.attach_path(name, what, path, bool(readonly), uid)
            self._adopt(name, Segment._over(*found), found[1])

        _opening.when_ready(attempt, seconds)

    def _adopt(self, name: str | None, segment: Segment, mapping: Mapping) -> None:
        try:
            shape, itemsize, fortran, text, offset, lock_offset = memory.read_array(mapping)
        except OSError as error:
            reason = _explain.checking(error, _what(name), name, "an array")
            if isinstance(reason, KindError):
                reason = _kind_error(name, mapping)
            segment.close()
            raise reason from None
        try:
            dtype = _dtype.decode(text)
            if dtype.itemsize != itemsize:
                raise ValueError(f"{dtype} has {dtype.itemsize} bytes, not {itemsize}")
            values = _dtype.over(mapping, shape, dtype, offset, "F" if fortran else "C")
        except ValueError as error:
            segment.close()
            raise CorruptError(
                f"{_what(name)} has a shape or element type that numpy cannot use here ({error}); "
                "unlink it",
                name=name,
            ) from None
        self._name = name
        self._segment = segment
        self._np = values
        self._shape = shape
        self._dtype = dtype
        self._lock_offset = lock_offset
        self._locks = {}

    # ---- What it is ----------------------------------------------------------------

    @property
    def np(self) -> numpy.ndarray[Any, Any]:
        """The array itself, over the shared memory. ClosedError after `close`."""
        values = self._np
        if values is None or self._segment.closed:
            raise ClosedError(f"{_what(self._name)} has been closed", name=self._name)
        return values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> numpy.ndarray[Any, Any]:
        import numpy

        if dtype is None and copy is not True:
            return self.np
        if copy is False and numpy.dtype(dtype) != self._dtype:
            raise ValueError(f"an array of {self._dtype} is not {dtype} without a copy")
        return self.np.astype(dtype or self._dtype, copy=copy is not False)

    @property
    def name(self) -> str | None:
        """The name, as it was given; None for an anonymous array."""
        return self._name

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the dimensions."""
        return self._shape

    @property
    def dtype(self) -> numpy.dtype[Any]:
        """Type of the elements."""
        return self._dtype

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        count = self._dtype.itemsize
        for length in self._shape:
            count *= length
        return count

    @property
    def lock(self) -> RLock:
        """A recursive lock that goes with the array, for all processes that have it.

        The array does not take it by itself: ``with array.lock: array.np[:] = 0``. It is part of
        the array's memory; this handle of it is opened when it is first used, is the same for
        all threads, and is closed with the array. `RLock` says what happens when an owner dies:
        a warning, unless you set ``array.lock.on_owner_death``.

        AccessError: attached for reading only. TooManyParticipantsError: more than 256
        handles of the array use it. ClosedError.
        """
        found = self._locks.get("lock")
        if found is not None and not found.closed:
            return found
        self.np  # noqa: B018 - raises when closed
        from isthmus.lock import RLock

        what = f"lock of {_what(self._name)}"
        made = RLock._part_of(self._segment, self._lock_offset, what)
        # Of several threads that have come so far, all get the one that is there first.
        return self._locks.setdefault("lock", made)

    @property
    def segment(self) -> Segment:
        """The memory below, header included: for `advise`, `lock_memory`, `mode`, `owner` ….

        Writing to its first bytes destroys the array for everybody.
        """
        return self._segment

    @property
    def readonly(self) -> bool:
        """Whether this handle may only read."""
        return self._segment.readonly

    @property
    def created(self) -> bool:
        """Whether this handle made the array, rather than found it."""
        return self._segment.created

    @property
    def closed(self) -> bool:
        """Whether `close` has been called."""
        return self._segment.closed

    @property
    def deferred(self) -> bool:
        """Whether it is closed and yet mapped, because something made from it is still alive."""
        return self._segment.deferred

    # ---- Its end -------------------------------------------------------------------

    def close(self) -> None:
        """End the use of this handle; the array and its name stay. May be called twice.

        What it holds of the `lock` counts as held by one that died. A thread that waits for the
        lock just now goes on waiting, and has it when it gets it.
        """
        self._np = None
        while self._locks:
            _, lock = self._locks.popitem()
            lock._close()
        self._segment.close()

    def unlink(self) -> None:
        """Remove the name; the memory lives on until its last user is gone.

        NotFoundError, ReplacedError, AccessError: as for `Segment.unlink`.
        """
        self._segment.unlink()

    def __enter__(self) -> Self:
        self.np  # noqa: B018 - raises when closed
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __copy__(self) -> Self:
        """Another handle to the same array, as pickling makes one; no copy of the elements."""
        self.np  # noqa: B018 - raises when closed
        same = type(self).__new__(type(self))
        backing, mapping = self._segment._backing.again(self._segment.size)
        same._adopt(self._name, Segment._over(backing, mapping), mapping)
        return same

    def __deepcopy__(self, memo: object) -> Self:
        return self.__copy__()

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        self.np  # noqa: B018 - raises when closed
        return _restore, (
            type(self),
            self._name,
            *self._segment._backing.reduce(self._segment.size),
        )

    def __repr__(self) -> str:
        state = ", deferred" if self.deferred else ", closed" if self.closed else ""
        access = ", read-only" if self.readonly else ""
        label = "anonymous" if self._name is None else repr(self._name)
        return f"<isthmus.Array {label} {self._shape} {self._dtype}{access}{state}>"


class _Plan:
    """What a caller wants: checked, and laid out."""

    __slots__ = ("dtype", "layout", "name", "order", "path", "shape", "what")

    def __init__(
        self,
        name: str | None,
        shape: SupportsIndex | tuple[SupportsIndex, ...],
        dtype: npt.DTypeLike | None,
        order: str | None,
    ) -> None:
        self.name = name
        self.path = b"" if name is None else _path(name)
        self.what = _what(name)
        self.order = None if order is None else _dtype.order_of(order)
        self.shape = _dtype.shape_of(shape)
        self.dtype = _dtype.check("f8" if dtype is None else dtype)
        if self.dtype.subdtype is not None:
            # As numpy does: the dimensions of a subarray become dimensions of the array.
            base, inner = self.dtype.subdtype
            self.dtype, self.shape = _dtype.check(base), self.shape + inner
        text = _dtype.encode(self.dtype)
        try:
            self.layout = memory.ArrayPlan(text, self.dtype.itemsize, self.shape, self.order == "F")
            # Before anything has been made, since numpy is asked to show it afterwards.
            _dtype.check_dimensions(self.shape)
        except (OSError, OverflowError):
            raise _explain.too_large(self.what, name, self.shape, str(self.dtype)) from None
        except ValueError as error:
            raise ArgumentError(str(error)) from None

    def compare(self, array: Array) -> None:
        found = "F" if array.np.flags.f_contiguous and not array.np.flags.c_contiguous else "C"
        matters = self.order is not None and len([n for n in self.shape if n > 1]) > 1
        if array.shape == self.shape and array.dtype == self.dtype:
            if not matters or 0 in self.shape or found == self.order:
                return
        raise MismatchError(
            f"{self.what} exists with shape {array.shape}, dtype {array.dtype}, order {found}; "
            f"asked for were {self.shape}, {self.dtype}, order {self.order or found}; "
            "attach to it without a shape, or unlink it first",
            name=self.name,
        )


def _what(name: str | None) -> str:
    return "anonymous array" if name is None else f"array {name!r}"


def _path(name: str) -> bytes:
    encoded = os.fsencode(_arguments.name(name))
    try:
        return memory.posix_path(memory.escape(encoded))
    except OSError:
        raise _explain.name_too_long(name, encoded) from None


def _kind_error(name: str | None, mapping: Mapping) -> IsthmusError:
    kind = int.from_bytes(bytes(memoryview(mapping)[12:16]), "little")
    return KindError(f"{_what(name)} is an object of another kind (number {kind})", name=name)


def _restore(
    cls: type[Array],
    name: str | None,
    reopen: Callable[..., tuple[Backing, Mapping]],
    arguments: tuple[Any, ...],
) -> Array:
    self = cls.__new__(cls)
    backing, mapping = reopen(*arguments)
    self._adopt(name, Segment._over(backing, mapping), mapping)
    return self
