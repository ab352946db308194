"""A Python process that does, step by step, what a test tells it to."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from typing import Any, Self

PATIENCE = 60.0
_LOOP = """
import json, sys
names = {"__name__": "__main__"}
for line in sys.stdin:
    try:
        try:
            done = repr(eval(compile(json.loads(line), "step", "eval"), names))
        except SyntaxError:
            exec(compile(json.loads(line), "step", "exec"), names)
            done = "None"
        error = None
    except Exception as raised:
        done, error = repr(str(raised)), type(raised).__name__
    print(json.dumps([done, error]), flush=True)
"""


class RemoteError(Exception):
    """What a step raised: the name of its class, and its text."""

    @property
    def kind(self) -> str:
        return str(self.args[0])


class Remote:
    """Call it with code: the value of an expression comes back. Ends with the `with` block.

    Its modules are isthmus.compat's, or the standard ones. `errors` is all that it and its
    resource tracker wrote to stderr, once both have ended.
    """

    def __init__(self, standard: bool = False, mode: str = "safe") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", _LOOP],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "ISTHMUS_COMPAT": mode,
                "PYTHONPATH": os.path.dirname(os.path.abspath(__file__)),
            },
        )
        self.errors = ""
        self._watch = threading.Timer(PATIENCE, self.process.kill)
        self._watch.start()
        package = "multiprocessing" if standard else "isthmus.compat"
        self(f"from {package}.shared_memory import SharedMemory, ShareableList")
        self("from multiprocessing import resource_tracker")

    def __call__(self, code: str) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(textwrap.dedent(code)) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, self.end()
        done, error = json.loads(line)
        if error is not None:
            raise RemoteError(error, ast.literal_eval(done))
        return ast.literal_eval(done)

    @property
    def has_tracker(self) -> bool:
        return bool(self("resource_tracker._resource_tracker._fd is not None"))

    def end(self) -> str:
        """Let it exit as a program does, and give what it wrote to stderr."""
        if not self._watch.finished.is_set():
            # Its tracker has stderr too: the end of that is the end of both.
            _, self.errors = self.process.communicate(timeout=PATIENCE)
            self._watch.cancel()
            self._watch.join()
        return self.errors

    def kill(self) -> str:
        self.process.send_signal(signal.SIGKILL)
        return self.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()
