"""examples/c/queue_feed.c and topic_feed.c, and their twins in Python, work together and may be
killed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from c_programs import PATIENCE, Run, fails, finish, start

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
LANGUAGES = ["C", "Python"]
ROWS = COLUMNS = 16

Commands = dict[str, list[str]]


def commands(program: str, programs: dict[str, Path], name: str) -> Commands:
    python = ROOT / "examples" / "python" / f"{program}.py"
    return {
        "C": [str(programs[program]), name],
        "Python": [sys.executable, "-P", str(python), name],
    }


@pytest.fixture
def queue(programs: dict[str, Path], name: str) -> Iterator[Commands]:
    """The program in each language; what they share is removed afterwards."""
    found = commands("queue_feed", programs, name)
    yield found
    assert finish(start(found["C"], "remove")) == ""


@pytest.fixture
def topic(programs: dict[str, Path], name: str) -> Iterator[Commands]:
    found = commands("topic_feed", programs, name)
    yield found
    assert finish(start(found["C"], "remove")) == ""


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def rest(process: subprocess.Popen[str]) -> str:
    """What follows the lines that were read, until its end."""
    assert process.stdout is not None
    output = process.stdout.read()
    assert finish(process) == ""
    return output


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=PATIENCE)


# ---- Queue ------------------------------------------------------------------------------


def job(number: int) -> str:
    if number % 2:
        return f"job {number}"
    columns = 1 + number % 4
    return f"2 x {columns}, sum {sum(number + i for i in range(2 * columns))}"


def worked_on(outputs: list[str]) -> list[tuple[int, int, str]]:
    """Message number, attempt and job."""
    found = re.findall(r"^message (\d+), attempt (\d+): (.*)$", "".join(outputs), re.MULTILINE)
    return [(int(number), int(attempt), text) for number, attempt, text in found]


@pytest.mark.parametrize("producer", LANGUAGES)
@pytest.mark.parametrize("consumer", LANGUAGES)
def test_jobs_reach_a_worker_in_order_and_as_they_are(
    producer: str, consumer: str, queue: Commands
) -> None:
    worker = start(queue[consumer], "work")
    assert finish(start(queue[producer], "put", 40)) == ""
    assert finish(start(queue[producer], "end")) == ""
    assert worked_on([finish(worker)]) == [(i, 1, job(i)) for i in range(40)]


def test_producers_and_workers_in_both_languages_share_a_queue(queue: Commands) -> None:
    workers = [start(command, "work") for command in queue.values() for _ in range(2)]
    producers = [start(command, "put", 300) for command in queue.values()]
    assert [finish(process) for process in producers] == ["", ""]
    assert finish(start(queue["C"], "end")) == ""
    done = worked_on([finish(process) for process in workers])
    assert sorted(number for number, _, _ in done) == list(range(600))
    assert {attempt for _, attempt, _ in done} == {1}
    assert Counter(text for _, _, text in done) == Counter(
        job(number) for number in range(300) for _ in range(2)
    )


@pytest.mark.parametrize("killed", LANGUAGES)
@pytest.mark.parametrize("next_one", LANGUAGES)
def test_the_job_of_a_worker_that_is_killed_goes_to_another(
    killed: str, next_one: str, queue: Commands
) -> None:
    assert finish(start(queue[next_one], "put", 3)) == ""
    holder = start(queue[killed], "hold")
    assert line(holder) == "holding message 0\n"
    waiting = start(queue[next_one], "work")
    assert line(waiting) == f"message 1, attempt 1: {job(1)}\n"
    assert line(waiting) == f"message 2, attempt 1: {job(2)}\n"
    kill(holder)
    assert line(waiting) == f"message 0, attempt 2: {job(0)}\n"
    assert finish(start(queue[next_one], "end")) == ""
    assert rest(waiting) == ""


@pytest.mark.parametrize("killed", LANGUAGES)
@pytest.mark.parametrize("next_one", LANGUAGES)
def test_a_producer_that_is_killed_in_the_middle_leaves_whole_jobs(
    killed: str, next_one: str, queue: Commands
) -> None:
    # More than fit: it waits for room, or is at it, when it dies.
    producer = start(queue[killed], "put", 10**9)
    worker = start(queue[next_one], "work")
    before = [line(worker) for _ in range(200)]
    kill(producer)
    assert finish(start(queue[next_one], "put", 2)) == ""
    assert finish(start(queue[next_one], "end")) == ""
    done = worked_on([*before, rest(worker)])
    assert [number for number, _, _ in done] == list(range(len(done)))
    assert [text for _, _, text in done[:-2]] == [job(i) for i in range(len(done) - 2)]
    assert [text for _, _, text in done[-2:]] == [job(0), job(1)]


def test_a_job_that_nobody_survives_is_set_aside(queue: Commands) -> None:
    assert finish(start(queue["C"], "put", 1)) == ""
    for killed in ["C", "Python", "C", "Python", "C"]:
        holder = start(queue[killed], "hold")
        assert line(holder) == "holding message 0\n"
        kill(holder)
    assert finish(start(queue["C"], "end")) == ""
    for command in queue.values():
        assert finish(start(command, "work")) == ""


# ---- Topic ------------------------------------------------------------------------------


def frames(count: int) -> str:
    return "".join(f"frame {i}, sum {i * ROWS * COLUMNS}\n" for i in range(count))


def watch(command: list[str]) -> subprocess.Popen[str]:
    process = start(command, "watch")
    assert line(process) == "subscribed\n"
    return process


@pytest.mark.parametrize("publisher", LANGUAGES)
def test_frames_reach_watchers_in_both_languages(publisher: str, topic: Commands) -> None:
    watching = [watch(command) for command in topic.values()]
    # More than there is room for at once: it waits for those that watch.
    assert finish(start(topic[publisher], "publish", 200)) == ""
    assert finish(start(topic[publisher], "end")) == ""
    assert [rest(process) for process in watching] == [frames(200) + "missed 0\n"] * 2


@pytest.mark.parametrize("killed", LANGUAGES)
@pytest.mark.parametrize("next_one", LANGUAGES)
def test_nobody_sees_half_a_frame_of_a_publisher_that_is_killed(
    killed: str, next_one: str, topic: Commands
) -> None:
    watching = watch(topic[killed])
    half = start(topic[killed], "half")
    assert line(half) == "half a frame\n"
    waiting = start(topic[next_one], "publish", 50)
    kill(half)
    assert finish(waiting) == ""
    assert finish(start(topic[next_one], "end")) == ""
    assert rest(watching) == frames(50) + "missed 0\n"


@pytest.mark.parametrize("killed", LANGUAGES)
@pytest.mark.parametrize("next_one", LANGUAGES)
def test_a_watcher_that_is_killed_with_a_frame_in_view_holds_nobody_back(
    killed: str, next_one: str, topic: Commands
) -> None:
    watching = watch(topic[next_one])
    staring = start(topic[killed], "stare")
    assert line(staring) == "subscribed\n"
    publishing = start(topic[next_one], "publish", 200)
    assert line(staring) == "frame 0 in view\n"
    kill(staring)
    assert finish(publishing) == ""
    assert finish(start(topic[next_one], "end")) == ""
    assert rest(watching) == frames(200) + "missed 0\n"


# ---- Usage ------------------------------------------------------------------------------


@pytest.mark.parametrize("program", ["queue_feed", "topic_feed"])
@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["x"],
        ["x", "put"],
        ["x", "publish"],
        ["x", "put", "-1"],
        ["x", "publish", "1e3"],
        ["x", "remove", "2"],
        ["x", "what"],
    ],
)
def test_wrong_usage_says_how(
    program: str, arguments: list[str], run: Run, programs: dict[str, Path]
) -> None:
    fails(run(program, *arguments), f"usage: {program}", status=2)
    command = commands(program, programs, "")["Python"][:-1]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    fails(done, f"usage: {program}", status=2)


@pytest.mark.parametrize("program", ["queue_feed", "topic_feed"])
def test_what_is_something_else_is_left_alone(program: str, run: Run, name: str) -> None:
    path = Path("/dev/shm") / f"isthmus.{name}"
    path.write_bytes(b"x" * 4096)
    fails(run(program, name, "end"), name)
    assert path.read_bytes() == b"x" * 4096
    path.unlink()
