"""isthmus.compat.sysv_ipc beside the original: the same names, and the same in every scenario."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from bare_calls import clear
from sysv_scenarios import SCENARIOS, Scenario

from isthmus.compat import sysv_ipc

CLASSES = ("Semaphore", "SharedMemory", "MessageQueue")
ERRORS = (
    "Error",
    "InternalError",
    "PermissionsError",
    "ExistentialError",
    "BusyError",
    "NotAttachedError",
)
# What is about the author, and the one thing that depends on how the original was built.
OF_ITS_OWN = {"SEMAPHORE_TIMEOUT_SUPPORTED", "__author__", "__copyright__", "__license__"}


@pytest.fixture
def original() -> ModuleType:
    return pytest.importorskip("sysv_ipc")  # type: ignore[no-any-return]


def test_every_name_is_there(original: ModuleType) -> None:
    made_by_import = {"__file__", "__loader__", "__name__", "__package__", "__spec__", "__doc__"}
    assert set(dir(original)) - made_by_import <= set(dir(sysv_ipc))
    assert {name for name in dir(original) if not name.startswith("_")} == set(sysv_ipc.__all__)
    for name in CLASSES:
        assert set(dir(getattr(original, name))) <= set(dir(getattr(sysv_ipc, name)))


def test_constants_are_the_same(original: ModuleType) -> None:
    for name, value in vars(original).items():
        if isinstance(value, int | str) and (name.isupper() or name == "__version__"):
            ours = getattr(sysv_ipc, name)
            assert type(ours) is type(value)
            if name not in OF_ITS_OWN:
                assert ours == value, name
    assert sysv_ipc.SEMAPHORE_TIMEOUT_SUPPORTED is True
    for name in ("__author__", "__copyright__", "__license__"):
        assert isinstance(getattr(sysv_ipc, name), str)


def test_exceptions_are_related_in_the_same_way(original: ModuleType) -> None:
    for name in ERRORS:
        ours, theirs = getattr(sysv_ipc, name), getattr(original, name)
        assert [kind.__name__ for kind in ours.__mro__] == [
            kind.__name__ for kind in theirs.__mro__
        ]
        assert not issubclass(ours, OSError)
        assert ours.__module__ == "isthmus.compat.sysv_ipc"
        error = pickle.loads(pickle.dumps(ours("words")))
        assert (type(error), error.args) == (ours, ("words",))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_it_does_as_the_original(scenario: Scenario, original: ModuleType, key: int) -> None:
    theirs = scenario(original, key)
    clear(key)
    ours = scenario(sysv_ipc, key)
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        assert mine == other, f"step {number}"


def test_without_a_key_it_takes_a_small_one_that_nobody_uses() -> None:
    for name in CLASSES:
        kind = getattr(sysv_ipc, name)
        made = [kind(None, sysv_ipc.IPC_CREX) for _ in range(3)]
        try:
            assert len({each.key for each in made}) == 3
            assert all(0 < each.key < 2**15 for each in made)
            assert [kind(each.key).id for each in made] == [each.id for each in made]
        finally:
            for each in made:
                each.remove()


def test_a_key_whose_low_bits_are_0_is_refused_not_taken_for_a_private_one() -> None:
    for name in CLASSES:
        for number in (2**32, -(2**40), sysv_ipc.KEY_MIN):
            with pytest.raises(ValueError, match="would be IPC_PRIVATE"):
                getattr(sysv_ipc, name)(number, sysv_ipc.IPC_CREX)


def test_they_can_be_derived_from_but_not_copied(key: int) -> None:
    for name in CLASSES:

        class Derived(getattr(sysv_ipc, name)):  # type: ignore[misc]
            def __init__(self, comment: str) -> None:
                super().__init__(key, sysv_ipc.IPC_CREX)
                self.comment = comment

        derived = Derived("mine")
        assert (derived.key, derived.comment) == (key, "mine")
        for copies in (pickle.dumps, copy.copy):
            with pytest.raises(TypeError, match="pickle"):
                copies(getattr(sysv_ipc, name)(key))


def test_ftok_takes_any_path_and_its_warning_can_be_an_error() -> None:
    assert sysv_ipc.ftok(b"/", 5, True) == sysv_ipc.ftok(Path("/"), 5, True)
    with pytest.raises(Warning, match="not recommended"):  # all warnings are errors here
        sysv_ipc.ftok("/", 5)
    with pytest.raises(ValueError, match="NUL"):
        sysv_ipc.ftok("/\0", 5, True)


@pytest.mark.slow
def test_importing_it_imports_nothing_big(run_python: Callable[..., str]) -> None:
    program = """
    import sys
    before = set(sys.modules)
    import isthmus.compat.sysv_ipc
    new = {name.split(".")[0] for name in set(sys.modules) - before}
    print(sorted(new & {"numpy", "multiprocessing", "ctypes", "asyncio", "socket", "pickle"}))
    """
    assert run_python(program) == "[]\n"
