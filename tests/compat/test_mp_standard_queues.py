"""The standard library's own tests of queues and pools, with ours in place."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lock_jobs import METHODS

PROGRAM = Path(__file__).parents[1] / "support" / "standard_queues.py"

# -P keeps a program from finding what lies beside it.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PROGRAM.parent)}


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("test._test_multiprocessing") is None,
    reason="this interpreter was installed without the standard library's tests",
)
def test_the_standard_librarys_own_tests_hold_under_every_start_method() -> None:
    def run(method: str) -> subprocess.CompletedProcess[str]:
        # Pools are slow to start otherwise; by hand, they hold there, too.
        fewer = () if method == "fork" else ("Queue", "SimpleQueue")
        command = [sys.executable, "-P", "-W", "ignore", str(PROGRAM), method, *fewer]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=300, check=False, env=ENVIRONMENT
        )

    with ThreadPoolExecutor(len(METHODS)) as pool:  # they mostly wait
        for method, done in zip(METHODS, pool.map(run, METHODS), strict=True):
            assert done.returncode == 0, f"{method}\n{done.stdout}\n{done.stderr}"
            assert int(done.stdout.splitlines()[-1].split()[0]) >= (38 if method == "fork" else 10)
