"""The error classes themselves."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

import isthmus
from isthmus import errors

CLASSES = [
    cls
    for _, cls in inspect.getmembers(errors, inspect.isclass)
    if issubclass(cls, errors.IsthmusError)
]


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_is_public_and_travels_between_processes(
    cls: type[errors.IsthmusError],
) -> None:
    assert cls.__name__ in isthmus.__all__
    assert cls.__doc__
    details = {"wanted": 5, "available": 3} if cls is errors.NoSpaceError else {}
    error = cls("what happened", name="thing", errno=99, **details)
    for same in (error, pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(same) is cls
        assert (str(same), same.name, same.errno) == ("what happened", "thing", 99)
        if details:
            assert (same.wanted, same.available) == (5, 3)
        if isinstance(same, OSError):
            assert (same.filename, same.strerror) == ("thing", "what happened")


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        ("ExistsError", FileExistsError),
        ("NotFoundError", FileNotFoundError),
        ("ReplacedError", FileNotFoundError),
        ("AccessError", PermissionError),
        ("OwnerError", PermissionError),
        ("SealedError", PermissionError),
        ("NoSpaceError", OSError),
        ("NotReadyError", BlockingIOError),
        ("UnsupportedError", OSError),
        ("ClosedError", ValueError),
        ("InUseError", BufferError),
        ("SizeError", ValueError),
        ("NameInvalidError", ValueError),
        ("FormatError", ValueError),
        ("SystemCallError", OSError),
    ],
)
def test_each_derives_from_what_people_expect(cls: str, builtin: type[Exception]) -> None:
    assert issubclass(getattr(isthmus, cls), builtin)
    assert getattr(isthmus, cls)("x").errno


def test_each_way_of_being_unfit_is_a_class_of_its_own() -> None:
    unfit = [errors.ForeignError, errors.VersionError, errors.LayoutError, errors.KindError,
             errors.TruncatedError, errors.CorruptError, errors.MismatchError]  # fmt: skip
    assert all(issubclass(cls, errors.FormatError) for cls in unfit)
    assert len({cls("x").errno for cls in unfit[:-1]}) == 6
