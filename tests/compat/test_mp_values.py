"""Shared values of `isthmus.compat.multiprocessing`, as documented."""

from __future__ import annotations

import ctypes
import pickle
from ctypes import Structure, c_char, c_double, c_int
from multiprocessing.reduction import ForkingPickler
from typing import Any

import pytest
from bare_calls import Background

import isthmus
from isthmus.compat.multiprocessing import sharedctypes
from isthmus.compat.multiprocessing.sharedctypes import (
    Array,
    RawArray,
    RawValue,
    Value,
    copy,
    synchronized,
)
from isthmus.compat.multiprocessing.synchronize import Lock, RLock


class Point(Structure):
    _fields_ = (("x", c_int), ("y", c_double))


def test_a_raw_value_is_a_ctypes_object_that_begins_as_zero() -> None:
    assert RawValue("d").value == 0.0 and RawValue("d", 2.5).value == 2.5
    assert RawValue(Point, 1, 2.5).y == 2.5
    assert isinstance(RawValue("i"), c_int)
    letters = {letter: RawValue(letter)._type_ for letter in "bBhHiIlLqQfd"}
    assert all(letters.values())
    # Also where another one has been before.
    for _ in range(3):
        value = RawValue("q")
        assert value.value == 0
        value.value = -1
        del value


def test_a_raw_array_has_a_length_or_its_elements() -> None:
    zeros, given = RawArray("i", 5), RawArray(c_double, [1.5, 2.5])
    assert list(zeros) == [0] * 5 and list(given) == [1.5, 2.5]
    zeros[1:3] = [7, 8]
    assert zeros[:] == [0, 7, 8, 0, 0]
    assert RawArray("i", 0)[:] == []
    points = RawArray(Point, [(1, 2.0), (3, 4.0)])
    assert [point.x for point in points] == [1, 3]
    points[0].x = 9
    assert points[0].x == 9


def test_a_value_has_a_lock_around_it() -> None:
    value = Value("i", 7)
    assert value.value == 7 and isinstance(value.get_lock(), RLock)
    assert isinstance(value.get_obj(), c_int)
    with value:
        value.value += 1
        assert Background(lambda: value.get_lock().acquire(False)).finish() is False
    assert value.acquire() is True
    value.release()
    assert value.value == 8
    assert isinstance(value, sharedctypes.Synchronized)
    assert repr(value) == "<Synchronized wrapper for c_int(8)>"


def test_an_array_has_a_lock_around_it() -> None:
    array = Array("i", [1, 2, 3, 4])
    array[0] = 10
    array[1:3] = [20, 30]
    assert (len(array), array[:], array[-1]) == (4, [10, 20, 30, 4], 4)
    assert isinstance(array, sharedctypes.SynchronizedArray)
    assert array.get_obj()[0] == 10
    text = Array("c", 10)
    text.value = b"hello"
    assert text.value == b"hello" and text.raw == b"hello" + bytes(5)
    assert isinstance(text, sharedctypes.SynchronizedString)
    assert isinstance(Array(c_char, b"ab"), sharedctypes.SynchronizedString)


@pytest.mark.parametrize("make", [Value, lambda kind, **options: Array(kind, 3, **options)])
def test_the_lock_is_chosen(make: Any) -> None:
    lock = Lock()
    assert make("i", lock=lock).get_lock() is lock
    assert isinstance(make("i", lock=None).get_lock(), RLock)
    assert not hasattr(make("i", lock=False), "get_lock")
    with pytest.raises(AttributeError, match="has no method 'acquire'"):
        make("i", lock="no")
    with pytest.raises(TypeError):
        make("i", lock=True, another=1)

    class Context:
        def RLock(self) -> Lock:
            return lock

    assert make("i", ctx=Context()).get_lock() is lock


def test_structures_are_wrapped_and_copied() -> None:
    value = Value(Point, 3, 4.5)
    value.x += 1
    assert (value.x, value.y) == (4, 4.5) and type(value).__name__ == "SynchronizedPoint"
    same = copy(value.get_obj())
    same.x = 5
    assert (value.x, same.x, same.y) == (4, 5, 4.5)
    wrapped = synchronized(same)
    assert wrapped.get_obj() is same and isinstance(wrapped.get_lock(), RLock)
    lock = Lock()
    assert synchronized(copy(c_int(3)), lock).get_lock() is lock
    with pytest.raises(AssertionError, match="already synchronized"):
        synchronized(wrapped)
    array = copy((c_int * 3)(1, 2, 3))
    assert array[:] == [1, 2, 3]
    assert ctypes.sizeof(array) == 12


def test_a_value_is_pickled_for_a_child_and_for_nobody_else() -> None:
    for value in (Value("i"), Array("i", 3)):
        with pytest.raises(RuntimeError, match="inheritance"):
            pickle.dumps(value)
    for value in (RawValue("i"), RawArray("i", 3)):
        with pytest.raises(RuntimeError, match="inheritance"):
            ForkingPickler.dumps(value)


def test_who_dies_with_the_lock_of_a_value_does_not_keep_it() -> None:
    value = Value("i", 1)
    value.get_lock().acquire()
    value.get_lock().abandon()
    with pytest.warns(isthmus.OwnerDiedWarning):
        value.value = 2
    assert value.value == 2
