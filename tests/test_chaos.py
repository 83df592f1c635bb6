"""The short form of two faults; `make chaos` puts all of them."""

import pytest

from benchmarks.chaos.frozen import frozen_worker
from benchmarks.chaos.workers import killed_workers

pytestmark = pytest.mark.slow


def test_killed_workers_lose_nothing() -> None:
    found = killed_workers(None, short=True)
    assert found.passed, found


def test_a_frozen_worker_is_fenced_off() -> None:
    found = frozen_worker(None, short=True)
    assert found.passed, found
