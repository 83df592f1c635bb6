"""The controller is killed, or there are two."""

import random
import subprocess
import sys
import time
from itertools import cycle

from benchmarks.chaos.counts import Counts, answer, counted, total
from benchmarks.chaos.place import Place, placed
from benchmarks.chaos.waiting import codes
from tests.postgres import Server

TRIALS, PACE_SECONDS = 8, 0.3


def killed_controller(server: Server | None, *, short: bool) -> Counts:
    """kill -9 of `autolora search` again and again, each time followed by the same command.

    It runs `inline`, so the seed fixes what is drawn. A kill falls at a random moment of what the
    search takes undisturbed. A study that comes to its end is compared with one that was left
    alone, and the kills go on with the next study, until there were enough.
    """
    kills = 4 if short else 20
    draw = random.Random(1)
    samplers = cycle(["random"] if short else ["random", "tpe"])
    left, known = kills, dict[str, tuple[str, float]]()
    found: list[Counts] = []
    others: list[str] = []
    ended = 0
    while left:
        sampler = next(samplers)
        if sampler not in known:
            known[sampler] = _undisturbed(server, sampler)
        expected, seconds = known[sampler]
        with placed(server, trials=TRIALS) as place:
            place.describe(sampler=sampler, name="inline", retries=100)
            place.pace(PACE_SECONDS)
            killed = _killed(place, draw, left, seconds)
            ended += codes(place, [place.search()]) == [0]
            if (told := answer(place)) != expected:
                others.append(sampler)
                print(f"{sampler}, undisturbed: {expected}\nkilled: {told}", file=sys.stderr)
            found.append(counted(place, killed, {}))
            left -= killed
    also = {
        f"{ended} of {len(found)} studies ended well": ended == len(found),
        f"{len(found) - len(others)} of {len(found)} with the answer of an undisturbed run"
        + (f" (not: {', '.join(others)})" if others else ""): not others,
    }
    return total(found, also)


def _undisturbed(server: Server | None, sampler: str) -> tuple[str, float]:
    """What a search gives that nobody kills, and how long it takes."""
    with placed(server, trials=TRIALS) as place:
        place.describe(sampler=sampler, name="inline")
        place.pace(PACE_SECONDS)
        began = time.monotonic()
        if codes(place, [place.search()]) != [0]:
            raise RuntimeError(f"an undisturbed search fails; {place.last_words()}")
        return answer(place), time.monotonic() - began


def _killed(place: Place, draw: random.Random, most: int, seconds: float) -> int:
    """Kills a search until it ends before its moment comes; how often."""
    for killed in range(most):
        victim = place.search()
        try:
            victim.wait(draw.uniform(0.0, seconds))
        except subprocess.TimeoutExpired:
            victim.kill()
            victim.wait()
        else:
            return killed
    return most


def two_controllers(server: Server | None, *, short: bool) -> Counts:
    """The same command twice at once."""
    del short
    with placed(server, trials=6) as place:
        place.describe(name="inline")
        place.pace(0.2)
        ends = codes(place, [place.search() for _ in range(2)])
        also = {f"exit codes {sorted(ends)}": 0 in ends, "a final answer": bool(answer(place))}
        return counted(place, 1, also)
