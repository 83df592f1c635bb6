"""PostgreSQL goes away for a while, and all its connections are ended."""

import signal
import time

from benchmarks.chaos.counts import Counts, counted, ended
from benchmarks.chaos.place import PATIENCE_SECONDS, placed
from benchmarks.chaos.waiting import created, until


def outage(storage: str, *, short: bool) -> Counts:
    """Stopped for 5 s (30 s in the long form), restarted; then every connection is ended.

    The delay is from the return of the server to the next result, with batches of 0.2 s.
    """
    if storage == "sqlite":
        raise SystemExit("SQLite has no server that could be stopped: --storage postgresql")
    away = 5.0 if short else 30.0
    with placed(storage, trials=20) as place:
        assert place.server
        place.describe(name="inline", lease_seconds=10)
        place.pace(0.2)
        created(place)
        both = [place.worker() for _ in range(2)]
        until(lambda: ended(place) > 0)
        place.server.stop(signal.SIGINT)
        time.sleep(away)
        place.server.start()
        back, before = time.monotonic(), ended(place)
        until(lambda: ended(place) > before)
        delay = time.monotonic() - back
        place.server.terminate_all()
        codes = [each.wait(PATIENCE_SECONDS) for each in both]
        also = {"no worker died": not any(codes), f"delay {delay:.1f} s of 5 s": delay <= 5.0}
        return counted(place, 2, **also)
