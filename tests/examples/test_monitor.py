"""examples/channel/collector.py and monitor.py"""

from __future__ import annotations

import re
import signal

import pytest
from channels import CONNECTING, NAMED, PATIENCE
from example_programs import EVERYBODY, PLACED, Program, tidy

from isthmus import channel

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
FAST = ("--every", 0.002)
NUMBER = r"(-?\d+\.\d+)"


def collector(url: str, *arguments: object) -> Program:
    return Program("collector.py", url, *FAST, "--sensors", *(arguments or ("wave",)))


def summary(output: str, sensor: str) -> tuple[int, float, float, float, int]:
    """How many, mean, least, greatest, missed."""
    found = re.search(
        rf"^{sensor}: (\d+) readings, mean {NUMBER}, from {NUMBER} to {NUMBER}, {NUMBER}/s, "
        r"missed (\d+)$",
        output,
        re.MULTILINE,
    )
    assert found, output
    count, mean, low, high, _, missed = found.groups()
    return int(count), float(mean), float(low), float(high), int(missed)


@pytest.mark.parametrize("form", NAMED)
def test_a_monitor_sums_up_what_it_is_sent(form: str, place: str) -> None:
    with (
        collector(place) as collecting,
        Program("monitor.py", collecting.url(), "--readings", 40) as monitor,
    ):
        status, output = monitor.ended()
        assert status == 0
        # The first may have waited for somebody (mq, sysv), and others have found no room.
        count, mean, low, high, missed = summary(output, "wave")
        assert count == 40
        if not missed:
            assert abs(mean) < 0.001
            assert (low, high) == (-1.0, 1.0)
        assert collecting.kill(signal.SIGINT) == 0


@pytest.mark.parametrize("form", EVERYBODY)
def test_several_monitors_get_everything(form: str, place: str) -> None:
    with (
        collector(place) as collecting,
        Program("monitor.py", url := collecting.url(), "--readings", 40) as one,
        Program("monitor.py", url, "--readings", 20) as other,
    ):
        for monitor, readings in ((other, 20), (one, 40)):
            status, output = monitor.ended()
            assert status == 0
            count, mean, low, high, missed = summary(output, "wave")
            assert (count, abs(mean) < 0.001, low, high, missed) == (readings, True, -1.0, 1.0, 0)
        assert collecting.kill(signal.SIGINT) == 0


@pytest.mark.parametrize("form", PLACED)
def test_a_monitor_may_come_first_and_stays_when_the_collector_is_killed(
    form: str, place: str
) -> None:
    with Program("monitor.py", place) as monitor:
        monitor.until("waiting for" if form in CONNECTING and form != "fifo" else "connected to")
        with collector(place) as first:
            monitor.until("wave")
            first.kill()
        if form in CONNECTING:
            monitor.until("the collector has gone; it may come back")
        with collector(place, "load,memory") as second:
            monitor.until("load")
            monitor.until("memory")
            assert second.kill(signal.SIGINT) == 0
        monitor.until("the collector has gone") if form != "file" else None
        assert monitor.kill(signal.SIGINT) == 0
        output = monitor.ended()[1]
        for sensor in ("wave", "load", "memory"):
            assert summary(output, sensor)[0] >= 1
    if form != "file":
        tidy(place)


@pytest.mark.parametrize("form", [form for form in NAMED if form == "file"])
def test_over_a_file_one_who_comes_late_gets_all_there_was(form: str, place: str) -> None:
    with collector(place, "wave", "--count", 40) as collecting:
        assert collecting.ended()[0] == 0
    with Program("monitor.py", f"{place}?start=start", "--readings", 40) as monitor:
        count, mean, low, high, missed = summary(monitor.ended()[1], "wave")
        assert (count, abs(mean) < 0.001, low, high, missed) == (40, True, -1.0, 1.0, 0)


@pytest.mark.parametrize("form", ["unix"])
def test_what_is_no_reading_is_said_and_passed_over(form: str, place: str) -> None:
    with (
        channel.listen(place) as listener,
        Program("monitor.py", place, "--readings", 1) as monitor,
        listener.accept(PATIENCE) as link,
    ):
        link.send_many([b"hello", b"\xff" * 7, b"\2\5\0\0\0\x80\x3f"])
        status, output = monitor.ended()
    assert status == 0
    assert "b'hello' is no reading" in output
    assert summary(output, "wave") == (1, 1.0, 1.0, 1.0, 0)


@pytest.mark.parametrize("form", ["unix"])
def test_a_monitor_that_does_not_read_misses_some_and_holds_up_nobody(
    form: str, place: str
) -> None:
    with (
        Program("collector.py", place, "--every", 0, "--sensors", "wave") as collecting,
        Program("monitor.py", collecting.url()) as lazy,
    ):
        lazy.until("wave")
        lazy.stop()
        with Program("monitor.py", place, "--readings", 2000) as eager:
            assert eager.ended()[0] == 0
        lazy.go()
        # It gets what there was room for, and then the rest with a gap.
        last = lazy.until("missed")
        while last.endswith("missed 0"):
            last = lazy.until("missed")
        assert collecting.kill(signal.SIGINT) == 0
