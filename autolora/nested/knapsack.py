"""The best ranks within a budget of parameters, when the gains of ranks add up over targets."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

_MOST_UNITS = 200_000  # of the budget; more are rounded, costs up, so that the budget is kept

Gains = Mapping[str, Sequence[float]]


def knapsack(
    gains: Gains, costs: Mapping[str, int], budget: int, *, multiple: int = 1
) -> dict[str, int]:
    """The ranks with the highest sum of gains whose parameters keep a budget, rank 0 among them.

    Exact dynamic programming, whatever the shape of the gains, as long as the budget holds no
    more than 200,000 units (the greatest common divisor of the costs); beyond that, costs are
    rounded up to larger units. Of equal sums the one with fewer parameters wins.

    Args:
        gains: For each target the gain of its ranks 0, 1, 2, …: as many as it may have.
        costs: The parameters that one rank costs at each target.
        budget: Parameters.
        multiple: Ranks are multiples of it.

    Source: Kellerer, Pferschy and Pisinger 2004, Knapsack Problems, chapter 11 (multiple choice).

    >>> knapsack({"a": [0, 3, 4], "b": [0, 2, 4]}, {"a": 10, "b": 10}, 30)
    {'a': 1, 'b': 2}
    """
    steps = {name: multiple * cost for name, cost in costs.items() if name in gains}
    unit = math.gcd(*steps.values()) if steps else 1
    if budget // unit > _MOST_UNITS:
        unit = -(-budget // _MOST_UNITS)
    room = budget // unit
    best = np.zeros(room + 1)
    choices = {}
    for name, values in gains.items():
        offered = np.asarray(values, dtype=float)[::multiple]
        best, choices[name] = _with(best, offered, -(-steps[name] // unit))
    left = int(np.argmax(best))  # the first of equal sums: the fewest parameters
    ranks = {}
    for name in reversed(list(gains)):
        taken = int(choices[name][left])
        ranks[name] = taken * multiple
        left -= taken * -(-steps[name] // unit)
    return {name: ranks[name] for name in gains}


def _with(best: np.ndarray, offered: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The best sums with one target more, and how many of its ranks they take."""
    found, taken = best + offered[0], np.zeros(len(best), dtype=np.int16)
    for count in range(1, min(len(offered), (len(best) - 1) // size + 1)):
        sums = best[: len(best) - count * size] + offered[count]
        better = sums > found[count * size :]
        found[count * size :][better] = sums[better]
        taken[count * size :][better] = count
    return found, taken
