"""A worker is frozen past its lease, and then goes on."""

import signal

from autolora.study.records import attempts
from benchmarks.chaos.counts import Counts, counted
from benchmarks.chaos.place import PATIENCE_SECONDS, Place, placed
from benchmarks.chaos.waiting import attempts_that, created, until


def frozen_worker(storage: str, *, short: bool) -> Counts:
    """SIGSTOP while it trains; another takes its trial once the lease ran out; SIGCONT."""
    del short
    with placed(storage, trials=3) as place:
        place.describe(name="inline", lease_seconds=2)
        place.pace(2.0)
        created(place)
        first = place.worker()
        until(lambda: attempts_that(place, attempts.c.ended.is_(None)) == 1)
        first.send_signal(signal.SIGSTOP)
        place.pace(0.0)
        second = place.worker()
        until(lambda: attempts_that(place, attempts.c.kind == "expired") == 1)
        first.send_signal(signal.SIGCONT)
        codes = [each.wait(PATIENCE_SECONDS) for each in (first, second)]
        also = {
            "both ended well": not any(codes),
            "one retry": attempts_that(place, attempts.c.attempt > 1) == 1,
            "late result fenced off": _said(place, "was taken from this worker"),
        }
        return counted(place, 1, **also)


def _said(place: Place, words: str) -> bool:
    """Whether a log says so: that of the processes, or that of a trial."""
    logs = [place.log, *place.folder.glob("runs/**/*.log")]
    return any(words in log.read_text() for log in logs)
