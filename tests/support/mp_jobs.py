"""What child processes of the multiprocessing drop-in do; importable under every start method."""

from __future__ import annotations

import os
from typing import Any

from isthmus.compat import multiprocessing
from isthmus.compat.multiprocessing import queues


def put_all(queue: Any, items: list[Any]) -> None:
    for item in items:
        queue.put(item)


def put_numbered(queue: Any, who: int, sizes: list[int]) -> None:
    for number, size in enumerate(sizes):
        queue.put((who, number, bytes(size)))


def double(questions: Any, answers: Any) -> None:
    """Until None comes."""
    while (question := questions.get()) is not None:
        answers.put(2 * question)


def work(queue: Any, count: int) -> None:
    for _ in range(count):
        queue.get()
        queue.task_done()


def square(number: int) -> int:
    return number * number


def whoami(_: object = None) -> int:
    return os.getpid()


def send_back(queue: Any, back: Any) -> None:
    """The queue that was received, and through it what is received from it."""
    back.put(queue.get())


class Counting(queues.Queue):
    """One that adds to the state, as the standard documentation's readers write them."""

    def __init__(self) -> None:
        super().__init__(ctx=multiprocessing.get_context())
        self.size = multiprocessing.Value("i", 0)

    def __getstate__(self) -> Any:
        return {"above": super().__getstate__(), "size": self.size}

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state["above"])
        self.size = state["size"]

    def put_counted(self, item: object) -> None:
        self.put(item)
        with self.size.get_lock():
            self.size.value += 1
