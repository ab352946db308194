"""No order of closing, dropping and collecting leaves a dangling view, or says a word."""

from __future__ import annotations

import gc
import os
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import isthmus
from isthmus import Segment
from isthmus._core import memory

# A program with a segment, in which SIGALRM ends a wait as Ctrl-C does.
INTERRUPTIBLE = """
import os, signal, sys, threading
import isthmus
from isthmus._core import memory

def interrupt(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, interrupt)
seg = isthmus.Segment.create(sys.argv[1], 10)
seg.unlink()
"""


def mapped(inode: int) -> bool:
    """Whether this process maps the object. (Its creator sees it under no name in maps.)"""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return any(line.split()[4] == str(inode) and "/dev/shm/" in line for line in lines)


def test_close_unmaps_at_once_when_nothing_is_left(name: str) -> None:
    seg = Segment.create(name, 4096)
    inode = os.fstat(seg.fileno()).st_ino
    assert mapped(inode) and not seg.deferred
    seg.close()
    assert seg.closed and not seg.deferred and not mapped(inode)
    seg.close()
    seg.unlink()


def test_close_with_a_live_view_waits_for_it(name: str) -> None:
    seg = Segment.create(name, 4096)
    view = seg.buf[10:20]
    view[:] = b"0123456789"
    inode = os.fstat(seg.fileno()).st_ino
    seg.close()
    assert seg.closed and seg.deferred and "deferred" in repr(seg)
    assert bytes(view) == b"0123456789" and mapped(inode)
    del view
    assert not seg.deferred and not mapped(inode) and "closed" in repr(seg)
    seg.unlink()


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        lambda seg: seg.array((16,), "f8"),
        lambda seg: seg.array((4, 4), "f8")[1:, ::2].T,
        lambda seg: np.frombuffer(seg.buf, "f8"),
        lambda seg: np.ndarray((16,), "f8", buffer=seg.buf),
        lambda seg: np.asarray(seg.buf),
        lambda seg: memoryview(np.ndarray((16,), "f8", buffer=seg.buf)),
        lambda seg: seg.buf.cast("d"),
        lambda seg: seg.buf.toreadonly()[::2],
    ],
)
def test_whatever_is_made_from_it_keeps_the_memory(
    name: str, make: Callable[[Segment], object]
) -> None:
    seg = Segment.create(name, 4096)
    made = make(seg)
    seg.close()
    seg.unlink()
    gc.collect()
    assert seg.deferred
    np.asarray(made).sum()  # would crash if the memory were gone
    del made
    gc.collect()
    assert not seg.deferred


def test_every_order_of_dropping_is_safe(run_python: Callable[..., str], name: str) -> None:
    program = """
        import gc, itertools, sys
        import numpy as np
        from isthmus import Segment
        for order in itertools.permutations(range(4)):
            seg = Segment.create(sys.argv[1], 4096)
            seg.unlink()
            things = [seg, seg.buf, seg.array(8), np.ndarray(8, 'u1', buffer=seg.buf)]
            things[2][:] = 1
            del seg
            for index in order:
                if hasattr(things[index], "close"):
                    things[index].close()
                things[index] = None
                gc.collect()
                for thing in things:
                    if isinstance(thing, (np.ndarray, memoryview)):
                        assert bytes(thing)[:1] == b"\\1"
        print("fine")
    """
    assert run_python(program, name) == "fine\n"


def test_cycles_and_interpreter_exit_are_silent(run_python: Callable[..., str], name: str) -> None:
    program = """
        import sys
        from isthmus import Segment, Array
        class Cycle:
            pass
        cycle = Cycle()
        cycle.me = cycle
        cycle.seg = Segment.create(sys.argv[1], 4096)
        cycle.seg.unlink()
        cycle.array = cycle.seg.array((512,), "f8")
        keep = Array(sys.argv[1] + "a", 5)
        keep.unlink()
        values = keep.np
    """
    assert run_python(program, name, fails=True) == ""


def test_a_closed_segment_says_so(name: str) -> None:
    seg = Segment.create(name, 4096)
    seg.unlink()
    seg.close()
    calls: list[Callable[[], object]] = [
        lambda: seg.buf,
        seg.array,
        seg.fileno,
        lambda: seg.mode,
        lambda: seg.owner,
        seg.flush,
        lambda: seg.resize(1),
        seg.reserve,
        lambda: seg.advise("normal"),
        seg.lock_memory,
        lambda: seg.seal("shrink"),
        seg.__enter__,
        seg.__reduce__,
    ]
    for call in calls:
        with pytest.raises(isthmus.ClosedError, match="has been closed") as caught:
            call()
        assert isinstance(caught.value, ValueError)
    assert (seg.size, seg.name, seg.readonly) == (4096, name, False)


def test_growing_keeps_the_bytes_and_old_views_stay_valid(name: str) -> None:
    with Segment.create(name, 100) as seg, Segment.attach(name) as other:
        old = seg.buf
        old[99] = 1
        seg.resize("1 MiB")
        assert (seg.size, len(seg.buf), len(old)) == (1 << 20, 1 << 20, 100)
        assert seg.buf[99] == 1 and not any(seg.buf[100:])
        seg.buf[0] = 5
        assert old[0] == 5
        assert os.fstat(seg.fileno()).st_blocks * 512 == 1 << 20
        assert other.size == 100
        other.resize()
        assert other.size == 1 << 20 and other.buf[99] == 1
        seg.unlink()


def test_growing_beyond_the_memory_changes_nothing(name: str) -> None:
    with Segment.create(name, 100) as seg:
        with pytest.raises(isthmus.NoSpaceError, match="keeps the size"):
            seg.resize(1 << 50)
        assert seg.size == os.fstat(seg.fileno()).st_size == 100
        assert len(seg.buf) == 100
        seg.unlink()


def test_shrinking_must_be_asked_for_and_refuses_while_views_live(name: str) -> None:
    with Segment.create(name, 10_000) as seg:
        with pytest.raises(isthmus.SizeError, match="shrink=True"):
            seg.resize(10)
        view = seg.array((10,))
        with pytest.raises(isthmus.InUseError, match="still alive"):
            seg.resize(10, shrink=True)
        assert seg.size == 10_000 and not seg.closed
        view[0] = 3
        del view
        seg.resize(10, shrink=True)
        assert (seg.size, len(seg.buf), seg.buf[0]) == (10, 10, 3)
        seg.unlink()


def test_a_view_from_before_a_resize_forbids_shrinking_and_defers_the_end_as_well(
    name: str,
) -> None:
    seg = Segment.create(name, 4096)
    old = seg.array()
    seg.resize(3 * 4096)
    with pytest.raises(BufferError, match="still alive"):
        seg.resize(100, shrink=True)  # else touching `old` would be SIGBUS
    assert seg.size == os.fstat(seg.fileno()).st_size == len(seg.buf) == 3 * 4096
    old[4095] = 7
    assert seg.buf[4095] == 7
    seg.close()
    assert seg.deferred
    del old
    assert not seg.deferred
    seg.unlink()


def test_many_processes_grow_one_segment_and_none_cuts_another(name: str) -> None:
    sizes = [200_000 + 70_000 * number for number in range(6)]
    with Segment.create(name, 100_000) as seg:
        reader, writer = os.pipe()
        children = []
        for size in sizes:
            child = os.fork()
            if child == 0:
                try:
                    mine = Segment.attach(name)  # a descriptor, and so a lock, of its own
                    os.read(reader, 1)
                    mine.resize(max(size, os.fstat(mine.fileno()).st_size))
                    mine.buf[size - 1] = 1
                    os._exit(0)
                except isthmus.SizeError:
                    os._exit(0)  # a larger one was there first: refused, nothing cut
                finally:
                    os._exit(1)
            children.append(child)
        os.write(writer, b"x" * len(sizes))
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(sizes)
        os.close(reader)
        os.close(writer)
        seg.resize()
        assert seg.size == max(sizes)
        assert seg.buf[-1] == 1
        seg.unlink()


def test_resizing_waits_for_who_is_at_it_and_ctrl_c_ends_the_wait(
    name: str, run_python: Callable[..., str]
) -> None:
    program = """
        other = os.open(f"/proc/self/fd/{seg.fileno()}", os.O_RDWR)
        memory.lock_size(other)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        try:
            seg.resize(20)
        except KeyboardInterrupt:
            print("interrupted", seg.size)
        threading.Timer(0.05, os.close, [other]).start()
        seg.resize(20)
        print(seg.size)
    """
    assert run_python(INTERRUPTIBLE + textwrap.dedent(program), name) == "interrupted 10\n20\n"


@pytest.mark.slow
def test_those_who_share_a_handle_resize_one_after_the_other_too(
    name: str, run_python: Callable[..., str]
) -> None:
    program = """
        with seg._backing.changing_size():
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            try:
                seg.resize(20)
            except KeyboardInterrupt:
                print("interrupted", seg.size)
        seg.resize(20)
        print(seg.size)
        with seg._backing.changing_size() as fd:
            seg.close()  # by another thread: the descriptor in use stays
            print(os.fstat(fd).st_size)
    """
    assert run_python(INTERRUPTIBLE + textwrap.dedent(program), name) == "interrupted 10\n20\n20\n"


@pytest.mark.parametrize(
    "grow", ["seg.resize(10_000)", "os.ftruncate(seg.fileno(), 10_000); seg.resize()"]
)
def test_what_is_being_mapped_after_growing_cannot_be_cut_off_by_another_thread(
    name: str, run_python: Callable[..., str], grow: str
) -> None:
    program = f"""
        really_map = memory.map_shared
        def map_while_another_one_shrinks(*arguments):
            memory.map_shared = really_map
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            try:
                seg.resize(10, shrink=True)
            except KeyboardInterrupt:
                print("it waits")
            return really_map(*arguments)
        memory.map_shared = map_while_another_one_shrinks
        {grow}
        print(seg.array()[-1])
    """
    assert run_python(INTERRUPTIBLE + textwrap.dedent(program), name) == "it waits\n0\n"


def test_a_segment_cut_to_nothing_by_others_cannot_be_taken_over(name: str) -> None:
    with Segment.create(name, 4096) as seg:
        os.ftruncate(seg.fileno(), 0)
        with pytest.raises(isthmus.SizeError, match="size 0"):
            seg.resize()
        seg.unlink()


def test_array_checks_shape_dtype_offset_and_order(name: str) -> None:
    with Segment.create(name, 1000) as seg:
        assert seg.array().shape == (1000,)
        assert seg.array(dtype="f8").shape == (125,)
        assert seg.array(dtype="f8", offset=10).shape == (123,)
        assert seg.array((2, 3), "i4", offset=4, order="F").flags.f_contiguous
        assert seg.array(()).shape == ()
        assert seg.array((0, 5)).size == 0
        assert seg.array(0, offset=1000).size == 0
        for arguments, options, error in [
            (((1001,),), {}, isthmus.SizeError),
            (((126,), "f8"), {}, isthmus.SizeError),
            (((125,), "f8"), {"offset": 1}, isthmus.SizeError),
            (((1,),), {"offset": 1000}, isthmus.SizeError),
            (((1,),), {"offset": -1}, isthmus.SizeError),
            (((-1,),), {}, isthmus.SizeError),
            (((2**40, 2**40),), {}, isthmus.SizeError),
            (((1,), "O"), {}, isthmus.ArgumentError),
            (((1,), "S"), {}, isthmus.ArgumentError),
            (((1,),), {"order": "K"}, isthmus.ArgumentError),
            (("x",), {}, TypeError),
            ((1.5,), {}, TypeError),
            (((1,), "no-such-type"), {}, TypeError),
        ]:
            with pytest.raises(error):
                seg.array(*arguments, **options)  # type: ignore[arg-type]
        seg.unlink()


def test_closing_twice_at_the_same_time_is_closing_once(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seg = Segment.create(name, 10)
    status = memory.status

    def status_after_another_close(fd: int) -> tuple[int, ...]:
        monkeypatch.undo()
        seg.close()
        return status(fd)

    monkeypatch.setattr(memory, "status", status_after_another_close)
    seg.close()
    monkeypatch.undo()
    seg.unlink()
