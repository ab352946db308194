"""What child processes do with topics; importable under every start method."""

from __future__ import annotations

from bare_calls import PATIENCE

from isthmus import Publisher, Subscriber


def answer(sub: Subscriber, pub: Publisher) -> None:
    got = [sub.recv(PATIENCE), sub.recv(PATIENCE)]
    pub.publish(("answer", got))
