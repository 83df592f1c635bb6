"""What an arm had at any moment: regret against the FT spent by then."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.search.compared import Block

POINTS = tuple(0.25 * k for k in range(1, 41))  # FT


def regrets(stored: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """Mean regret of every arm: (FT, regret), from where it has something in all its blocks.

    Regret is the best validation loss so far by the best that any arm reached in the block, less 1.
    An arm that has ended keeps what it has.
    """
    best: dict[Block, float] = {}
    for row in stored:
        for _, loss in row.get("anytime", ()):
            block = row["cell"], row["seed"]
            best[block] = min(loss, best.get(block, math.inf))
    found = {}
    for arm in dict.fromkeys(row["arm"] for row in stored):
        mine = [row for row in stored if row["arm"] == arm and row.get("anytime")]
        curve = []
        for ft in POINTS:
            values = [_at(row["anytime"], ft) for row in mine]
            if values and all(map(math.isfinite, values)):
                parts = zip(values, mine, strict=True)
                regret = [v / best[row["cell"], row["seed"]] - 1 for v, row in parts]
                curve.append((ft, statistics.fmean(regret)))
        if curve:
            found[arm] = curve
    return found


def _at(steps: Sequence[Sequence[float]], ft: float) -> float:
    return min((loss for spent, loss in steps if spent <= ft), default=math.inf)
