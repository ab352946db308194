"""Loans and views: messages written and read in place, and who may still refer to them."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bare_calls import PATIENCE, Background, until
from sharing import forked

import isthmus
from isthmus import Publisher, Subscriber

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def fill(pub: Publisher, size: int = 64, timeout: float = 0) -> int:
    """Publish until there is no room; how many."""
    for count in range(1_000_000):
        try:
            pub.publish(bytes(size), timeout=timeout)
        except isthmus.Full:
            return count
    raise AssertionError("there is always room")


# ---- Loans ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "dtype", "order"),
    [
        ((3, 4), "f8", "C"),
        ((3, 4), "f8", "F"),
        (5, "u1", "C"),
        ((), ">i4", "C"),
        ((0, 7), "i2", "C"),
        ([2, 2], [("a", "i4"), ("b", "S3")], "C"),
        ((2,), ("f4", (3,)), "C"),
    ],
)
def test_what_is_written_into_a_loan_is_published(shape: Any, dtype: Any, order: Any) -> None:
    with Publisher() as pub, pub.subscriber() as sub:
        like = np.empty(shape, dtype, order)
        for value in (1, 2):  # the second time it is known what that is
            with pub.loan(shape, dtype, order=order) as array:
                assert array.shape == like.shape and array.dtype == like.dtype
                assert array.flags.f_contiguous == like.flags.f_contiguous
                array[...] = value
                expected = array.copy()
                assert sub.lag == 0
            got = sub.recv()
            assert got.dtype == like.dtype and (got == expected).all()


def test_a_loan_of_bytes_is_a_memoryview() -> None:
    with Publisher() as pub, pub.subscriber() as sub:
        with pub.loan(5) as memory:
            assert isinstance(memory, memoryview) and not memory.readonly
            memory[:] = b"hello"
        assert sub.recv() == b"hello"
        with pytest.raises(ValueError, match="released"):
            memory[0] = 1
        with pub.loan("1 KiB") as memory:
            assert memory.nbytes == 1024
        with pub.loan(0) as memory:
            assert memory.nbytes == 0
        assert [len(each) for each in sub.recv_many(2)] == [1024, 0]


def test_an_exception_in_the_block_publishes_nothing() -> None:
    with Publisher() as pub, pub.subscriber() as sub:
        with pytest.raises(KeyError), pub.loan(4, "u1") as array:
            array[:] = 1
            raise KeyError
        pub.publish(b"next")
        assert sub.recv() == b"next"
        assert sub.lag == 0


def test_an_array_is_empty_after_its_loan() -> None:
    with Publisher() as pub, pub.subscriber() as sub:
        with pub.loan((3, 4), "f8") as array:
            array[:] = 1
        assert array.shape == (0,) and array.dtype == np.float64
        assert (sub.recv() == 1).all()


def keep_slice(array: Any) -> Any:
    return array[1:]


def keep_memory(array: Any) -> Any:
    return memoryview(array)


def keep_name(array: Any) -> Any:
    return array


def keep_deep(array: Any) -> Any:
    return memoryview(array[1:])[2:]


@pytest.mark.parametrize("keep", [keep_slice, keep_memory, keep_name, keep_deep])
@pytest.mark.parametrize("loan", [(8,), (8, "u1")], ids=["bytes", "array"])
def test_a_loan_that_is_kept_is_not_published_and_leads_nowhere(keep: Any, loan: Any) -> None:
    with Publisher() as pub, pub.subscriber() as sub:
        kept: Any = None

        def lend_and_keep() -> None:
            nonlocal kept
            with pub.loan(*loan) as memory:
                memory[:] = b"\1" * 8 if len(loan) == 1 else 1
                kept = keep(memory)

        if keep is keep_name and len(loan) == 1:
            # A second name of a memoryview leads to the same one, which is released.
            lend_and_keep()
            assert sub.recv() == b"\1" * 8
            return
        with pytest.raises(BufferError, match="something still refers") as caught:
            lend_and_keep()
        assert isinstance(caught.value, isthmus.InUseError)
        assert sub.lag == 0
        # Others write there now, and what is written by the old name does not get there.
        pub.publish(b"\2" * 8)
        kept[:] = b"\3" * len(kept) if isinstance(kept, memoryview) else 3
        assert sub.recv() == b"\2" * 8
        with pub.loan(*loan) as memory:
            memory[:] = b"\4" * 8 if len(loan) == 1 else 4
        assert bytes(sub.recv()) == b"\4" * 8
    kept[:] = kept  # the topic is gone, and it is still memory


def test_what_an_exception_keeps_leads_nowhere() -> None:
    def fail(array: Any) -> None:
        part = array[2:]
        raise KeyError(part)

    with Publisher() as pub, pub.subscriber() as sub:
        with pytest.raises(KeyError) as caught, pub.loan(8, "u1") as array:
            fail(array)
        pub.publish(b"\2" * 8)
        caught.value.args[0][:] = 3
        assert sub.recv() == b"\2" * 8


def test_nobody_publishes_while_a_loan_is_open(name: str) -> None:
    with Publisher(name) as pub, Publisher(name) as other, Subscriber(name) as sub:
        with pub.loan(1) as memory:
            calls: tuple[Callable[[], object], ...] = (
                lambda: pub.publish(b""),
                lambda: pub.publish_many([b""]),
                lambda: pub.loan(1).__enter__(),
            )
            for call in calls:
                with pytest.raises(isthmus.InUseError, match="this thread has a loan open"):
                    call()
            with pytest.raises(isthmus.Full):
                other.publish(b"", timeout=0.01)
            with pytest.raises(isthmus.InUseError, match="a loan is open"):
                pub.close()
            waiting = Background(lambda: pub.publish(b"second"))
            waiting_too = Background(lambda: other.publish(b"second"))
            memory[:] = b"1"
        waiting.finish()
        waiting_too.finish()
        assert sub.recv_many(3) == [b"1", b"second", b"second"]


def test_a_loan_is_used_once_and_may_be_left_unused() -> None:
    with Publisher() as pub:
        loan = pub.loan(1)
        with loan:
            pass
        with pytest.raises(isthmus.ArgumentError, match="once"):
            loan.__enter__()
        pub.loan(5)
        with pytest.raises(TypeError):
            isthmus.Loan()
        pub.publish(b"x")


def test_a_loan_that_is_dropped_within_the_block_is_over() -> None:
    with Publisher() as pub, pub.subscriber() as sub:

        def generate() -> Any:
            with pub.loan(1) as memory:
                memory[:] = b"1"
                yield memory

        generator = generate()
        next(generator)
        del generator
        gc.collect()
        pub.publish(b"x")
        assert sub.recv() == b"x"


def test_a_loan_waits_for_room() -> None:
    with Publisher(capacity=4096) as pub, pub.subscriber() as sub:
        fill(pub)
        with pytest.raises(
            isthmus.Full, match=r"a subscriber of process \d+ is \d+ messages behind"
        ):
            pub.loan(64, timeout=0.01).__enter__()
        loan = pub.loan(64)
        waiting = Background(loan.__enter__)
        until(lambda: bool(pub._participants()[0][5]))
        sub.recv()
        waiting.finish()
        loan.__exit__(None, None, None)
        assert pub.stats().published > sub.lag


def test_what_cannot_be_lent_is_refused() -> None:
    with Publisher() as pub:
        with pytest.raises(TypeError, match="references"):
            pub.loan(3, object)
        with pytest.raises(isthmus.ArgumentError, match="negative"):
            pub.loan((3, -1), "u1")
        with pytest.raises(isthmus.ArgumentError, match="order"):
            pub.loan(3, "u1", order="A")  # type: ignore[call-overload,unused-ignore]
        with pytest.raises(TypeError, match="shape"):
            pub.loan("3", "u1")
        with pytest.raises(isthmus.SizeError):
            pub.loan(-1)
        with pytest.raises(isthmus.SizeError):
            pub.loan((2**40, 2**40), "u1")
        with pytest.raises(TypeError):
            pub.loan((3, 4))  # type: ignore[call-overload,unused-ignore]


def test_a_child_forked_in_a_loan_has_no_part_in_it() -> None:
    with Publisher() as pub, pub.subscriber() as sub:

        def publish() -> None:
            pub.publish(b"child", timeout=PATIENCE)

        with pub.loan(6) as memory:
            memory[:] = b"parent"
            process = forked(publish)
            child = process.__enter__()
        assert child.finish() == 0
        process.__exit__(None, None, None)
        assert sub.recv_many(2) == [b"parent", b"child"]


# ---- Views ----------------------------------------------------------------------------


def test_a_view_is_read_only_and_stays_as_it_is() -> None:
    with Publisher(capacity=4096, overflow="overwrite") as pub, pub.subscriber() as sub:
        pub.publish(np.arange(10))
        pub.publish(b"bytes")
        with sub.view() as array, sub.view() as memory:
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1
            with pytest.raises(ValueError, match="WRITEABLE"):
                array.flags.writeable = True
            with pytest.raises(TypeError, match="read-only"):
                memory[0] = 1
            part = array[2:4]
            fill(pub)
            assert (array == np.arange(10)).all() and memory == b"bytes"
        del array
        assert fill(pub) == 0 and (part == [2, 3]).all()
        del part
        fill(pub)
        assert memory == b"bytes"
        del memory
        pub.publish(bytes(64), timeout=0)  # nobody is in the way any more


def test_leaving_the_block_lets_go_if_nothing_else_refers_to_it() -> None:
    with Publisher(capacity=4096, overflow="overwrite") as pub, pub.subscriber() as sub:
        pub.publish(b"x" * 100)
        with sub.view():
            assert fill(pub) > 0
        assert pub.publish(bytes(64), timeout=0) is None


def test_a_view_holds_back_a_publisher_that_blocks_too() -> None:
    with Publisher(capacity=4096) as pub, pub.subscriber() as sub:
        pub.publish(b"x" * 100)
        with sub.view() as memory:
            assert sub.lag == 0
            fill(pub)
            while sub.lag:
                sub.recv()
            fill(pub)
            assert memory == b"x" * 100
        waiting = Background(lambda: pub.publish(bytes(2000)))
        while sub.lag:
            sub.recv()
        del memory
        waiting.finish()


def test_the_oldest_of_several_views_counts() -> None:
    with Publisher(capacity=4096, overflow="overwrite") as pub, pub.subscriber() as sub:
        views = []
        for i in range(10):
            pub.publish(b"%64d" % i)
            with sub.view() as memory:
                views.append(memory)
        del memory
        for gone in (5, 9, 0, 3):  # in any order
            views[gone] = None
            fill(pub)
            assert all(int(bytes(v)) == i for i, v in enumerate(views) if v is not None)
        before = pub.stats().published
        views[1] = None
        views[2] = None
        assert fill(pub) > 0 and pub.stats().published > before
        assert int(bytes(views[4])) == 4
        views.clear()
        with pytest.raises(AssertionError, match="always room"):
            fill_some(pub)


def fill_some(pub: Publisher) -> None:
    for _ in range(1000):
        pub.publish(bytes(64), timeout=0)
    raise AssertionError("there is always room")


def test_closing_with_something_in_view() -> None:
    with Publisher(capacity=4096, overflow="overwrite") as pub:
        sub = pub.subscriber()
        pub.publish(b"x" * 100)
        with sub.view() as memory, pytest.raises(isthmus.InUseError, match="1 views of messages"):
            sub.close()
        del memory
        sub.close()


def test_the_end_of_a_with_block_waits_for_what_is_in_view(name: str) -> None:
    with Publisher(name, capacity=4096) as pub:
        with Subscriber(name) as sub:
            pub.publish(b"x" * 100)
            with sub.view() as memory:
                pass
        assert sub.closed
        with pytest.raises(isthmus.ClosedError):
            sub.recv(0)
        with pytest.raises(isthmus.ClosedError):
            isthmus.wait([sub], 0)
        assert pub.subscribers() == []
        assert fill(pub) > 0  # it receives no more, so only the view holds us back
        assert memory == b"x" * 100
        handles = len(pub._participants())
        del memory
        assert len(pub._participants()) == handles - 1
        fill_nearly = pub.publish_many([bytes(64)] * 1000, timeout=0)
        assert fill_nearly is None
        sub.close()


def test_a_subscriber_that_is_dropped_stays_for_its_views() -> None:
    with Publisher(capacity=4096, overflow="overwrite") as pub:
        sub = pub.subscriber()
        pub.publish(b"x" * 100)
        with sub.view() as memory:
            pass
        gone = weakref.ref(sub)
        del sub
        fill(pub)
        assert memory == b"x" * 100
        assert gone() is not None
        del memory
        gc.collect()
        assert gone() is None
        assert len(pub._participants()) == 1


def test_a_cycle_through_a_view_is_collected() -> None:
    class Keeper(Subscriber):
        kept: Any

    with Publisher() as pub:
        sub = pub._sibling(Keeper, pub.subscriber()._kept())
        pub.publish(b"x")
        with sub.view() as memory:
            sub.kept = memory  # numpy's arrays are not seen by the collector
        del memory
        gone = weakref.ref(sub)
        del sub
        gc.collect()
        assert gone() is None


def test_text_and_pickles_in_view() -> None:
    with Publisher() as pub, pub.subscriber() as sub:
        pub.publish("text")
        pub.publish([1, np.arange(1000)])
        pub.publish(bytearray(b"b"))
        with sub.view() as text, sub.view() as both, sub.view() as memory:
            assert text == "text" and both[0] == 1
            assert (both[1] == np.arange(1000)).all() and not both[1].flags.writeable
            assert memory == b"b"
        assert sub._views == 2
        both.clear()
        del memory
        assert sub._views == 0
        sub.close()


def test_a_view_is_used_once_and_waits() -> None:
    with Publisher() as pub, pub.subscriber(timeout=0.01) as sub:
        with pytest.raises(isthmus.Empty):
            sub.view().__enter__()
        view = sub.view(timeout=PATIENCE)
        waiting = Background(view.__enter__)
        pub.publish(b"x")
        memory = waiting.finish()
        assert memory == b"x"
        view.__exit__(None, None, None)
        with pytest.raises(isthmus.ArgumentError, match="once"):
            view.__enter__()
        with pytest.raises(TypeError):
            isthmus.View()
        del memory


def test_a_forked_child_looks_for_itself() -> None:
    with Publisher(capacity=4096, overflow="overwrite") as pub, pub.subscriber() as sub:
        pub.publish(b"%64d" % 0)
        pub.publish(b"%64d" % 1)
        with sub.view() as memory:

            def look() -> None:
                nonlocal memory
                with sub.view() as own:
                    pass
                memory = None  # the parent's
                fill(pub)
                assert int(bytes(own)) == 1
                del own

            with forked(look) as process:
                assert process.finish() == 0
            assert int(bytes(memory)) == 0
            fill(pub)
            assert int(bytes(memory)) == 0
        del memory


def test_a_killed_process_that_had_something_in_view_holds_nobody_back() -> None:
    with Publisher(capacity=4096, overflow="overwrite") as pub, pub.subscriber() as sub:
        pub.publish(b"x" * 100)
        read, write = os.pipe()

        def look_and_stay() -> None:
            with sub.view() as memory:
                os.write(write, bytes(memory[:1]))
                while True:
                    os.read(os.pipe()[0], 1)

        with forked(look_and_stay) as process:
            assert os.read(read, 1) == b"x"
            fill(pub)
            with pytest.raises(isthmus.Full):
                pub.publish(bytes(64), timeout=0)
            process.kill()
            pub.publish(bytes(64), timeout=PATIENCE)
        os.close(read)
        os.close(write)
