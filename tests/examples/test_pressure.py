"""examples/channel/producer.py and consumer.py"""

from __future__ import annotations

import re
import resource

import pytest
from channels import NAMED
from example_programs import NOTICING, TOLD, Program, tidy

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def checksum(output: str) -> str:
    found = re.search(r"^sha256 ([0-9a-f]{64})$", output, re.MULTILINE)
    assert found, output
    return found[1]


def consumer(url: str) -> Program:
    return Program("consumer.py", url, "--delay", 0)


def producer(url: str, *arguments: object) -> Program:
    return Program("producer.py", url, *arguments)


def few_signals(form: str, program: Program) -> None:
    """No more than so many may wait for it; ten thousands would be usual."""
    if form == "signal":
        resource.prlimit(program.pid, resource.RLIMIT_SIGPENDING, (50, 50))


@pytest.mark.parametrize("form", NAMED)
def test_a_producer_waits_for_the_consumer_and_nothing_is_lost(form: str, place: str) -> None:
    url = place + "?start=start" if form == "file" else place
    with consumer(url) as slow:
        url = slow.url()
        slow.stop()
        few_signals(form, slow)
        with producer(url, "--count", 100) as fast:
            if form != "file":  # where there is always room
                fast.until_asleep()
            else:
                assert fast.ended()[0] == 0
            slow.go()
            status, sent = fast.ended()
            assert status == 0
        status, received = slow.ended()
        assert (status, received.count("received 100 messages\n")) == (0, 1)
        assert checksum(sent) == checksum(received)
        assert "sent 100 messages of " in sent
        if form != "file":
            assert "held up 0 times" not in sent


@pytest.mark.parametrize("form", NOTICING)
def test_a_producer_is_told_that_the_consumer_was_killed(form: str, place: str) -> None:
    with consumer(place) as slow:
        url = slow.url()
        few_signals(form, slow)
        with producer(url, "--count", 10**9, "--size", 1000) as fast:
            slow.until("the producer may send")
            slow.stop()
            fast.until_asleep()
            slow.kill()
            status, output = fast.ended()
            assert status == 1
            assert output.startswith("producer: nobody receives on ")
    tidy(url)


@pytest.mark.parametrize("form", TOLD)
def test_a_consumer_knows_that_the_producer_was_killed_before_the_end(
    form: str, place: str
) -> None:
    with consumer(place) as slow:
        url = slow.url()
        few_signals(form, slow)
        with producer(url, "--count", 10**9, "--size", 1000) as fast:
            slow.until("the producer may send")
            slow.stop()
            fast.until_asleep()
        slow.go()
        status, output = slow.ended()
        assert status == 1
        assert "consumer: the producer has gone before it was done\n" in output
        found = re.search(r"^received (\d+) messages$", output, re.MULTILINE)
        assert found
        assert int(found[1]) > 0
