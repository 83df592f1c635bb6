"""A worker is frozen past its lease, and then goes on."""

import signal

from autolora.study.records import attempts
from benchmarks.chaos.counts import Counts, counted
from benchmarks.chaos.place import placed
from benchmarks.chaos.waiting import attempts_that, busy, codes, created, until
from tests.postgres import Server


def frozen_worker(server: Server | None, *, short: bool) -> Counts:
    """SIGSTOP while it trains; another takes its trial once the lease ran out; SIGCONT."""
    del short
    with placed(server, trials=3) as place:
        place.describe(name="inline", lease_seconds=2)
        place.pace(2.0)
        created(place)
        first = place.worker()
        until(place, lambda: busy(place))
        first.send_signal(signal.SIGSTOP)
        place.pace(0.0)
        second = place.worker()
        until(place, lambda: attempts_that(place, attempts.c.kind == "expired") == 1)
        first.send_signal(signal.SIGCONT)
        ends = codes(place, [first, second])
        also = {
            "both ended well": not any(ends),
            "one counted retry": attempts_that(place, attempts.c.attempt > 1) == 1,
            "the late result was fenced off": place.said("was taken from this worker"),
        }
        return counted(place, 1, also)
