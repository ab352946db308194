"""The closing paragraph: each sentence follows from the figures, and only from those there are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bench_results import results, without

from isthmus.bench.results import Idle, Results
from isthmus.bench.show.advice import Advice, advise, sentences

EVERYBODY = results()
LOW = "Lowest latency, and a core to spend on it"
ASLEEP = "Low latency without spinning"
SMALL, LARGE, CROWD = "Many small messages", "Large messages", "Many senders"
IDLE, PROCESSOR = "Long waits for little", "Least processor time"
NETWORK, KEPT = "Across a network", "Messages that are kept"
STRANGERS = "A program without this library at the other end"


def told(made: Results, need: str) -> Advice | None:
    return next((one for one in advise(made) if one.need == need), None)


def slower(made: Results, contender: str, factor: float) -> Results:
    """The same, but for one contender, all whose times are so many times as long."""
    return replace(
        made,
        latency=[
            one
            if one.contender != contender
            else replace(
                one, p50=one.p50 * factor, rounds_p50=[time * factor for time in one.rounds_p50]
            )
            for one in made.latency
        ],
        throughput=[
            one
            if one.contender != contender
            else replace(
                one,
                messages_per_s=one.messages_per_s / factor,
                bytes_per_s=one.bytes_per_s / factor,
                rounds=[rate / factor for rate in one.rounds],
                cpu_per_message=one.cpu_per_message * factor,
            )
            for one in made.throughput
        ],
    )


def test_a_whole_run_has_advice_for_every_need() -> None:
    needs = [LOW, ASLEEP, SMALL, LARGE, CROWD, IDLE, PROCESSOR, NETWORK, KEPT, STRANGERS]
    assert [one.need for one in advise(EVERYBODY)] == needs
    assert len(sentences(EVERYBODY)) == len(needs)


@pytest.mark.parametrize("need", [LOW, ASLEEP, SMALL, LARGE, CROWD, PROCESSOR])
def test_the_best_form_is_chosen_and_no_longer_when_it_is_slow(need: str) -> None:
    first = told(EVERYBODY, need)
    assert first is not None
    assert first.choice == "shared memory"
    assert " is a factor of " in first.text
    second = told(slower(EVERYBODY, "shm", 50), need)
    assert second is not None
    assert "shared memory" not in second.choice


def test_the_figures_that_decide_are_named() -> None:
    advice = told(EVERYBODY, LOW)
    assert advice is not None
    best, next_one = (
        next(o for o in EVERYBODY.latency if (o.contender, o.size, o.mode) == (id, 8, "spinning"))
        for id in ("shm", "sysv")
    )
    factor = next_one.p50 / best.p50
    assert advice.text == (
        "Spinning, a round trip of 8 B: 742 ns with shared memory; the next form, System V queue, "
        f"is a factor of {factor:.1f} behind (5.09 µs). The floor, C: spinning on two words, has "
        "192 ns. Of other packages, the best is iceoryx2, a factor of 3.5 behind (2.58 µs)."
    )


def test_two_that_differ_by_less_than_noise_are_both_named() -> None:
    made = results(only=["pipe", "fifo", "tcp"], modes=("blocking",), sizes=[8])
    pipe = next(one for one in made.latency if one.contender == "pipe")
    about = [time * by for time, by in zip(pipe.rounds_p50, (1.1, 0.9, 1, 0.9, 1.1), strict=True)]
    for number, one in enumerate(made.latency):
        if one.contender == "fifo":
            made.latency[number] = replace(one, p50=pipe.p50 * 1.01, rounds_p50=about)
    advice = told(made, ASLEEP)
    assert advice is not None
    assert advice.choice == "pipe or named pipe"
    assert "which is no difference beyond noise; the next form, TCP, is" in advice.text


def test_one_that_is_worse_for_certain_ends_the_list_of_equals() -> None:
    """Others behind it may scatter so much that nothing is certain about them."""
    made = results(only=["shm", "pipe", "tcp"], modes=("blocking",), sizes=[8])
    tcp = next(one for one in made.latency if one.contender == "tcp")
    wild = replace(tcp, rounds_p50=[tcp.p50 / 30, tcp.p50, tcp.p50 * 30])
    advice = told(replace(made, latency=[wild if o is tcp else o for o in made.latency]), ASLEEP)
    assert advice is not None
    assert advice.choice == "shared memory"
    assert "the next form, pipe, is a factor of 1.7" in advice.text


def test_a_rival_that_is_faster_is_said_to_be() -> None:
    ahead = told(slower(EVERYBODY, "shm", 4), LOW)
    assert ahead is not None
    assert "Of other packages, iceoryx2 is a factor of 1.15 ahead (2.58 µs)." in ahead.text
    equal = told(slower(EVERYBODY, "shm", 3.48), LOW)
    assert equal is not None
    assert "iceoryx2 is as good within noise (2.58 µs)." in equal.text


def test_a_rival_is_never_the_advice() -> None:
    for one in advise(results(only=["iceoryx2", "pyzmq", "c-spin", "tcp"])):
        assert one.choice in {"TCP", "any form"}


def test_the_only_form_is_said_to_be_that() -> None:
    advice = told(results(only=["pipe"]), SMALL)
    assert advice is not None
    assert advice.text.startswith("8 B each: ")
    assert advice.text.endswith(" with pipe, the only form that was measured for this.")


def test_large_messages_are_judged_by_a_size_that_two_forms_can_carry() -> None:
    made = results(only=["shm", "pipe"])
    made.throughput[:] = [
        one for one in made.throughput if one.contender == "shm" or one.size <= 1 << 20
    ]
    advice = told(made, LARGE)
    assert advice is not None
    assert advice.text.startswith("1 MiB each: ")
    assert told(results(only=["shm", "pipe"], sizes=[8, 64]), LARGE) is None


def test_who_uses_the_processor_while_idle_is_named() -> None:
    calm = told(EVERYBODY, IDLE)
    assert calm == Advice(IDLE, "any form", "None used more than 0.02 % of a core while idle.")
    made = results(only=["shm", "pipe"])
    quiet = told(made, IDLE)
    assert quiet is not None
    assert quiet.text == "None used a measurable share of a core while idle."
    made.idle[0] = Idle(contender="pipe", cpu_share=0.5, seconds=1.0)
    assert told(made, IDLE) == Advice(
        IDLE,
        "not pipe",
        "While idle, pipe (50 % of a core) went on using the processor; the others at most 0.00 %.",
    )
    made.idle[1] = Idle(contender="shm", cpu_share=1.0, seconds=1.0)
    busy = told(made, IDLE)
    assert busy is not None
    assert busy.choice == "none of the forms"
    assert busy.text.endswith("(100 % of a core) went on using the processor.")


def test_only_tcp_goes_across_a_network() -> None:
    advice = told(EVERYBODY, NETWORK)
    assert advice is not None
    assert advice.choice == "TCP"
    assert advice.text.endswith("8 B and back take 28.9 µs, 4.1 times as long as through shared "
                                "memory.")  # fmt: skip
    assert told(results(only=["shm", "unix"]), NETWORK) is None


def test_only_files_keep_messages() -> None:
    advice = told(EVERYBODY, KEPT)
    assert advice is not None
    assert advice.choice == "file"
    assert advice.text.endswith("of 8 B, where shared memory moves 5.94 M/s spinning.")
    alone = told(results(only=["file"]), KEPT)
    assert alone is not None
    assert "where" not in alone.text
    assert told(results(only=["shm", "unix"]), KEPT) is None


def test_strangers_get_what_needs_no_library() -> None:
    advice = told(EVERYBODY, STRANGERS)
    assert advice is not None
    assert advice.choice == "POSIX queue or System V queue"
    assert told(results(only=["shm", "pipe", "unix"]), STRANGERS) is None


@pytest.mark.parametrize(
    ("missing", "left"),
    [
        ("latency", {SMALL, LARGE, CROWD, IDLE, PROCESSOR, KEPT}),
        ("throughput", {LOW, ASLEEP, IDLE, NETWORK, STRANGERS}),
        ("idle", {LOW, ASLEEP, SMALL, LARGE, CROWD, PROCESSOR, NETWORK, KEPT, STRANGERS}),
    ],
)
def test_where_figures_are_missing_nothing_is_said(missing: str, left: set[str]) -> None:
    assert {one.need for one in advise(without(EVERYBODY, missing))} == left


def test_without_any_form_that_is_said() -> None:
    nothing = ["Nothing that tells forms apart was measured."]
    assert sentences(results(only=["pyzmq", "c-pipe"])) == nothing
    assert sentences(without(EVERYBODY, "latency", "throughput", "idle")) == nothing
