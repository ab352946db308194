"""Whether the drop-ins keep what is dangerous about what they stand for."""

from __future__ import annotations

import os

from isthmus.errors import ArgumentError

VARIABLE = "ISTHMUS_COMPAT"
_MODES = ("safe", "strict")


def mode() -> str:
    """ "safe" or "strict": what the environment variable ISTHMUS_COMPAT says; "safe" without it.

    Safe: where the original destroys data, the drop-in does not. Strict: it does exactly as
    the original. The variable is read whenever the two differ, and inherited by every
    process started. ArgumentError: it says something else.
    """
    found = os.environ.get(VARIABLE, "") or "safe"
    if found not in _MODES:
        raise ArgumentError(f'{VARIABLE} is "safe" or "strict", not {found!r}')
    return found


def strict() -> bool:
    return mode() == "strict"
