"""A consumer from whom its leases are taken while it is at work on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import isthmus
from isthmus import inspect

#: What unpickling the next `Hook` does, once.
_hooks: list[Callable[[], object]] = []


def _made(text: str) -> str:
    if _hooks:
        _hooks.pop()()
    return text


class Hook:
    """Runs what is in `_hooks` when it is unpickled, which is while its message is leased."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __reduce__(self) -> tuple[Callable[[str], str], tuple[str]]:
        return _made, (self.text,)


@pytest.fixture
def queue(name: str) -> Iterator[isthmus.Queue]:
    with isthmus.Queue(name) as made:
        yield made
    _hooks.clear()


def evict(queue: isthmus.Queue) -> None:
    """Take all leases from the handle, as somebody else would."""
    assert queue.name is not None
    (slot,) = (member.slot for member in inspect.info(queue.name).members if member.share)
    inspect.evict(queue.name, slot)


def test_what_a_get_was_about_to_give_out_goes_to_one_only(queue: isthmus.Queue) -> None:
    queue.put(Hook("once"))
    with isthmus.Queue.attach(queue.name or "") as other:

        def steal() -> None:
            evict(queue)
            assert other.get(block=False) == "once"

        _hooks.append(steal)
        with pytest.raises(isthmus.Empty):
            queue.get(block=False)
    assert queue.stats().leased == 0
    queue.put(b"next")
    assert queue.get() == b"next"


def test_a_get_that_lost_one_message_gives_the_next(queue: isthmus.Queue) -> None:
    queue.put_many([Hook("first"), Hook("second")])
    stolen = []
    with isthmus.Queue.attach(queue.name or "") as other:

        def steal() -> None:
            evict(queue)
            stolen.append(other.get(block=False))

        _hooks.append(steal)
        assert queue.get(timeout=60) == "second"
    assert stolen == ["first"]


def test_of_many_only_those_are_given_out_that_were_not_taken(queue: isthmus.Queue) -> None:
    queue.put_many([Hook("a"), Hook("b"), Hook("c")])
    _hooks.append(lambda: evict(queue))
    # The first one is ready again, and got again behind the others.
    assert sorted(queue.get_many(3) + queue.get_many(3, block=False)) == ["a", "b", "c"]
    assert queue.empty()
    assert queue.stats().redelivered == 1


def test_a_lease_that_was_taken_away_says_so(queue: isthmus.Queue) -> None:
    queue.put("job")
    lease = queue.lease()
    evict(queue)
    assert queue.qsize() == 1
    with pytest.raises(isthmus.LeaseLostError, match="evict"):
        lease.acknowledge()
    with queue.lease() as again:
        assert (again.value, again.attempt) == ("job", 2)


def test_a_lease_that_is_taken_while_it_is_made_is_still_whole(queue: isthmus.Queue) -> None:
    queue.put(Hook("whole"))
    _hooks.append(lambda: evict(queue))
    with pytest.raises(isthmus.LeaseLostError), queue.lease() as lease:
        assert lease.value == "whole"
    assert queue.get() == "whole"
