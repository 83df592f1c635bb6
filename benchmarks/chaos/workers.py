"""Workers are killed at random moments; others join in their places."""

import random
import time

from autolora.study.records import attempts
from benchmarks.chaos.counts import Counts, counted
from benchmarks.chaos.place import PATIENCE_SECONDS, placed
from benchmarks.chaos.waiting import attempts_that, created, until


def killed_workers(storage: str, *, short: bool) -> Counts:
    """kill -9 of `autolora worker`, ten times among four; three times among two in short."""
    workers, kills = (2, 3) if short else (4, 10)
    draw = random.Random(0)
    with placed(storage, trials=6 if short else 20) as place:
        place.describe(name="inline", lease_seconds=5, retries=20)
        place.pace(0.3)
        created(place)
        running = [place.worker() for _ in range(workers)]
        for _ in range(kills):
            until(lambda: attempts_that(place, attempts.c.ended.is_(None)) > 0)
            time.sleep(draw.uniform(0.0, 3.0))
            victim = running.pop(draw.randrange(len(running)))
            victim.kill()
            victim.wait()
            running.append(place.worker())
        place.pace(0.0)
        codes = [each.wait(PATIENCE_SECONDS) for each in running]
        return counted(place, kills, **{"the others ended well": not any(codes)})
