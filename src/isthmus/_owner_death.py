"""What happens when a lock is taken over from an owner that died: `on_owner_death`."""

from __future__ import annotations

from isthmus.errors import ArgumentError, NotHeldError, OwnerDied, OwnerDiedWarning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    class TakenOver(Protocol):
        """A lock, held: `Lock`, `RLock`, `Condition`, or one side of an `RWLock`."""

        @property
        def name(self) -> str | None: ...
        @property
        def on_owner_death(self) -> str | Callable[[Any], object]: ...
        def abandon(self) -> None: ...


POLICIES = ("warn", "raise", "ignore")


def check(policy: object) -> None:
    """ArgumentError unless it is one of the words or can be called."""
    if not callable(policy) and policy not in POLICIES:
        raise ArgumentError(
            f'on_owner_death is "warn", "raise", "ignore" or a function, not {policy!r}'
        )


def report(lock: TakenOver, keep: bool = False) -> None:
    """Called by the binding, which knows that the policy is not "ignore".

    `keep`: the lock stays held whatever happens, as the end of a wait on a condition does.
    """
    policy = lock.on_owner_death
    handle: Any = getattr(lock, "rwlock", lock)  # the lock that this is a side of
    text = (
        f"the last owner of {handle._origin.what} died while it held it; what that protects may be "
        "half done"
    )
    if policy == "raise":
        raise OwnerDied(
            f"{text}. You hold it now: repair, and release error.lock", name=lock.name, lock=lock
        )
    try:
        if callable(policy):
            policy(lock)
        else:
            import warnings

            # Whoever called acquire(), or awaits it; the binding has no frame.
            warnings.warn(text, OwnerDiedWarning, stacklevel=2 + _depth_of_aio())
    except BaseException:
        # As if it had never been taken: the next one is told.
        if not keep:
            try:
                lock.abandon()
            except NotHeldError:
                pass  # the function has released it already
        raise


def _depth_of_aio() -> int:
    """How many frames of `isthmus.aio` are between, which get it for somebody else."""
    import sys

    depth = 0
    while True:
        try:
            frame = sys._getframe(2 + depth)
        except ValueError:
            return depth
        if not frame.f_globals.get("__name__", "").startswith("isthmus.aio."):
            return depth
        depth += 1
