"""The controller is killed, or there are two."""

import random
import time

from benchmarks.chaos.counts import Counts, answer, counted
from benchmarks.chaos.place import PATIENCE_SECONDS, placed


def killed_controller(storage: str, *, short: bool) -> Counts:
    """kill -9 of `autolora search` again and again, then the same command to its end."""
    kills = 4 if short else 20
    draw = random.Random(1)
    with placed(storage, trials=6) as place:
        place.describe(name="inline", retries=100)
        place.pace(0.5)
        for _ in range(kills):
            victim = place.search()
            time.sleep(draw.uniform(2.0, 14.0))
            victim.kill()
            victim.wait()
        place.pace(0.0)
        code = place.search().wait(PATIENCE_SECONDS)
        return counted(place, kills, **{"the last one ended well": code == 0})


def two_controllers(storage: str, *, short: bool) -> Counts:
    """The same command twice at once."""
    del short
    with placed(storage, trials=6) as place:
        place.describe(name="inline")
        place.pace(0.2)
        both = [place.search() for _ in range(2)]
        codes = [each.wait(PATIENCE_SECONDS) for each in both]
        also = {"one ended well at least": 0 in codes, "a final answer": bool(answer(place))}
        return counted(place, 1, **also)
