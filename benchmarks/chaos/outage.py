"""PostgreSQL goes away for a while, and all its connections are ended."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import select

from autolora.study.records import attempts
from autolora.study.storage import open_storage
from benchmarks.chaos.counts import Counts, counted, ended
from benchmarks.chaos.place import Place, placed
from benchmarks.chaos.waiting import codes, created, until
from tests.postgres import Server

WORKERS, PACE_SECONDS = 2, 0.2
MOST_SECONDS = 5.0  # after the return of the server


def stopped(server: Server | None, *, short: bool, seconds: float) -> Counts:
    """A server that is stopped in order, and started again after so many seconds."""
    del short

    def stop(one: Server) -> None:
        one.stop(signal.SIGINT)
        time.sleep(seconds)
        one.start()

    return _outage(server, stop)


def crashed(server: Server | None, *, short: bool) -> Counts:
    """A server that ends at once, without a word to anybody, and is started again at once."""
    del short
    return _outage(server, lambda one: one.restart(how=signal.SIGQUIT))


def cut_off(server: Server | None, *, short: bool) -> Counts:
    """Every connection is ended, while the server stays."""
    del short

    def end(one: Server) -> None:
        if not one.terminate_all():
            raise RuntimeError("there was no connection to end")

    return _outage(server, end)


def silent(server: Server | None, *, short: bool, seconds: float, lease_seconds: float) -> Counts:
    """A server that is frozen with all its processes: connections stay, and nothing answers."""
    del short

    def freeze(one: Server) -> None:
        own = [one.pid, *_children(one.pid)]
        for pid in own:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        for pid in reversed(own):
            os.kill(pid, signal.SIGCONT)

    return _outage(server, freeze, lease_seconds)


def _outage(
    server: Server | None, put: Callable[[Server], None], lease_seconds: float = 10.0
) -> Counts:
    """Puts a fault to the server of two workers that are at work, and lets them go on.

    The delay is from the return of the server to the next result of each worker.
    """
    assert server, "SQLite has no server that could be stopped"
    with placed(server, trials=30) as place:
        place.describe(name="inline", lease_seconds=lease_seconds)
        place.pace(PACE_SECONDS)
        created(place)
        both = [place.worker() for _ in range(WORKERS)]
        until(place, lambda: len(_ends(place, 0.0)) == WORKERS)
        before = ended(place)
        put(server)
        back = time.time()
        until(place, lambda: len(_ends(place, back)) == WORKERS)
        delay = max(_ends(place, back).values()) - back
        ends = codes(place, both)
        also = {
            f"{sum(map(bool, ends))} workers died": not any(ends),
            f"goes on {delay:.1f} s after its return (5 at most)": delay <= MOST_SECONDS,
            "in the midst of it": before < place.trials,
        }
        return counted(place, 1, also)


def _ends(place: Place, since: float) -> dict[str, float]:
    """When each worker first stored a result after a moment, by the clock of this machine."""
    storage = open_storage(place.url, create=False)
    query = (
        select(attempts.c.worker, attempts.c.ended)
        .where(attempts.c.ended > since, attempts.c.state == "complete")
        .order_by(attempts.c.ended.desc())
    )
    with storage.engine.connect() as connection:
        found = {row.worker: float(row.ended) for row in connection.execute(query)}
    storage.close()
    return found


def _children(pid: int) -> list[int]:
    files = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in files for child in file.read_text().split()]
