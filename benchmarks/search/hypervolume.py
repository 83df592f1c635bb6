"""The hypervolume of an arm over the budgets of a task: parameters against test loss."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Point = tuple[float, float]


def volumes(stored: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """For each task of several budgets the share of the box that each arm dominates.

    The box ends at the fewest parameters of an arm and at no loss; it begins at twice the most
    parameters and at the highest mean loss. Parameters count by their logarithm. Arms that were not
    run at every budget of a task are left out.
    """
    found: dict[str, dict[str, float]] = {}
    for task in dict.fromkeys(row["cell"].rpartition("/")[0] for row in stored):
        cells = {row["cell"] for row in stored if row["cell"].rpartition("/")[0] == task}
        if len(cells) < 2:
            continue
        arms = dict.fromkeys(row["arm"] for row in stored if row["cell"] in cells)
        points = {arm: _points(stored, sorted(cells), arm) for arm in arms}
        points = {arm: each for arm, each in points.items() if len(each) == len(cells)}
        if points:
            worst = max(loss for each in points.values() for _, loss in each)
            sizes = [size for each in points.values() for size, _ in each]
            fewest, most = min(sizes), max(sizes) + math.log(2)
            found[task] = {
                arm: volume([(s - fewest, loss) for s, loss in each], (most - fewest, worst))
                for arm, each in points.items()
            }
    return found


def volume(points: Sequence[Point], corner: Point) -> float:
    """The share of the box between the origin and a corner that some points dominate.

    >>> volume([(0.5, 0.5)], (1.0, 1.0))
    0.25
    """
    covered, low = 0.0, corner[1]
    for size, loss in sorted(points):
        if loss < low and size < corner[0]:
            covered += (corner[0] - size) * (low - loss)
            low = loss
    return covered / (corner[0] * corner[1])


def _points(stored: Sequence[Mapping[str, Any]], cells: Sequence[str], arm: str) -> list[Point]:
    points = []
    for cell in cells:
        rows = [r for r in stored if (r["cell"], r["arm"]) == (cell, arm) and "test" in r]
        if rows:
            size = math.log(statistics.fmean(row["parameters"] for row in rows))
            points.append((size, statistics.fmean(row["test"]["loss"] for row in rows)))
    return points
