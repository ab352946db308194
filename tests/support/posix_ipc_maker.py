"""For scenarios of what to do with posix_ipc or what stands for it, and what comes of it.

A scenario is a function of a `Maker`; what it returns or raises is compared.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any


class Maker:
    """Makes objects of one of the modules, and closes and unlinks them afterwards."""

    def __init__(self, module: Any, name: str) -> None:
        self.module = module
        self.name = name
        self._made: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.module, name)

    def _keep(self, made: Any) -> Any:
        self._made.append(made)
        return made

    def sem(self, *args: Any, **kwargs: Any) -> Any:
        return self._keep(self.module.Semaphore(*args, **kwargs))

    def shm(self, *args: Any, **kwargs: Any) -> Any:
        return self._keep(self.module.SharedMemory(*args, **kwargs))

    def mq(self, *args: Any, **kwargs: Any) -> Any:
        return self._keep(self.module.MessageQueue(*args, **kwargs))

    def new_sem(self, value: int = 0) -> Any:
        return self.sem(self.name, self.module.O_CREX, initial_value=value)

    def new_shm(self, size: int = 0) -> Any:
        return self.shm(self.name, self.module.O_CREX, size=size)

    def new_mq(self, **kwargs: Any) -> Any:
        kwargs = {"max_messages": 3, "max_message_size": 20, **kwargs}
        return self.mq(self.name, self.module.O_CREX, **kwargs)

    def forget(self, made: Any) -> None:
        """Do not close it: the number of its descriptor may be another's by now."""
        self._made.remove(made)

    def clean(self) -> None:
        for made in self._made:
            with suppress(self.module.Error, ValueError, OSError):
                made.close_fd() if hasattr(made, "close_fd") else made.close()
        unlinks = (
            self.module.unlink_semaphore,
            self.module.unlink_shared_memory,
            self.module.unlink_message_queue,
        )
        for unlink in unlinks:
            with suppress(self.module.Error, OSError):
                unlink(self.name)


Scenario = Callable[[Maker], Any]


def outcome(module: Any, name: str, scenario: Scenario) -> tuple[Any, ...]:
    maker = Maker(module, name)
    try:
        return ("returned", scenario(maker))
    except Exception as error:
        own = isinstance(error, module.Error)
        return ("raised", type(error).__name__, own, str(error), getattr(error, "errno", None))
    finally:
        maker.clean()


def attempts(call: Callable[..., Any], *arguments: Any) -> list[tuple[Any, ...]]:
    """What comes of the call with each of the arguments."""
    found: list[tuple[Any, ...]] = []
    for argument in arguments:
        try:
            found.append(("returned", call(argument)))
        except Exception as error:
            found.append(("raised", type(error).__name__, str(error)))
    return found


LONG = "/" + 300 * "x"
NO_NAMES = ["", "/", "/a/b", LONG]
NO_INTEGERS = ["x", None, 1.5, []]
NO_TIMEOUTS = ["x", b"x", [], 1j, object, -1, -0.5]
