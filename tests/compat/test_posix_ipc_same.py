"""isthmus.compat.posix_ipc and posix_ipc: the same things done with both come to the same."""

from __future__ import annotations

import pytest
from posix_ipc_maker import Scenario, outcome
from posix_ipc_queue_scenarios import SCENARIOS as QUEUES
from posix_ipc_scenarios import SCENARIOS

from isthmus.compat import posix_ipc as ours

theirs = pytest.importorskip("posix_ipc")


@pytest.mark.parametrize("scenario", [*SCENARIOS, *QUEUES], ids=lambda scenario: scenario.__name__)
def test_both_do_the_same(queue_name: str, scenario: Scenario) -> None:
    expected = outcome(theirs, queue_name, scenario)
    assert outcome(ours, queue_name, scenario) == expected
    # A mistake in the scenario itself would be the same in both.
    assert expected[0] == "returned" or expected[2], expected
