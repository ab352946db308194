"""The doctor: checks, each a function of facts, and the gathering of facts."""

from __future__ import annotations

from isthmus.inspect._doctor import _kernel, _limits, _memory, _place
from isthmus.inspect._doctor._facts import Facts
from isthmus.inspect._doctor._finding import GRADES, Finding, Grade
from isthmus.inspect._doctor._gather import gather

__all__ = ["CHECKS", "GRADES", "Facts", "Finding", "Grade", "doctor", "examine", "gather"]

#: All of them, in the order in which groups are shown.
CHECKS = (*_memory.CHECKS, *_limits.CHECKS, *_kernel.CHECKS, *_place.CHECKS)


def doctor() -> list[Finding]:
    """Look whether this machine is fit for shared memory, as this process sees it.

    The findings of all checks, the worst first; `severity` is "ok" where all is well. Nothing is
    changed. To find out what the kernel can do, a file without content is made in /dev/shm,
    named, and removed again.

    >>> {finding.severity for finding in doctor()} <= {"ok", "note", "warning", "problem"}
    True
    """
    return examine(gather())


def examine(facts: Facts) -> list[Finding]:
    """What all checks say of a machine, the worst first."""
    found = [finding for check in CHECKS for finding in check(facts)]
    return sorted(found, key=lambda finding: GRADES.index(finding.severity))
