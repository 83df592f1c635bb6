"""What more parameters would buy, according to the scores of a run at a high rank."""

from collections.abc import Sequence
from dataclasses import dataclass

from autolora.lora.allocation import Allocation
from autolora.lora.targets import Target
from autolora.nested.knapsack import knapsack
from autolora.study.explain_parts import Weighed


@dataclass(frozen=True)
class Offer:
    """One rank more at a target: what it costs and, by its score, brings."""

    target: str
    rank: int
    parameters: int
    gain: float


@dataclass(frozen=True)
class Step:
    """The budget grown to the next uniform rank, spent beside the ranks that are there.

    Attributes:
        uniform_rank: The next one.
        parameters: How many more it would take.
        ranks: What to add at which target where the scores decide.
        gain: What that would bring, by the scores.
        spent: Parameters that it takes.
        even_gain: What one rank more at every target would bring, by the scores.
    """

    uniform_rank: int
    parameters: int
    ranks: dict[str, int]
    gain: float
    spent: int
    even_gain: float


def offers(rows: Sequence[Weighed]) -> tuple[Offer, ...]:
    """One rank more, wherever the scores know of one: the most gain for a parameter first."""
    known = [
        Offer(row.target.name, row.rank + 1, row.target.cost, row.gains[row.rank])
        for row in rows
        if row.rank < len(row.gains)
    ]
    return tuple(sorted(known, key=lambda offer: (-offer.gain / offer.parameters, offer.target)))


def step(rows: Sequence[Weighed], budget: int | None) -> Step | None:
    """What the next uniform rank's worth of parameters would buy.

    None where no score tells, or no target can have a higher uniform rank.
    """
    targets = [row.target for row in rows]
    limit = sum(row.parameters for row in rows) if budget is None else budget
    now = uniform_rank(targets, limit)
    more = _size(targets, now + 1) - _size(targets, now)
    if not more or not any(row.gains[row.rank :] for row in rows):
        return None
    costs = {row.target.name: row.target.cost for row in rows}
    ranks = {n: r for n, r in knapsack(_left(rows), costs, more).items() if r}
    by_name = {row.target.name: row for row in rows}
    return Step(
        now + 1,
        more,
        ranks,
        sum(sum(by_name[n].gains[by_name[n].rank :][:r]) for n, r in ranks.items()),
        sum(costs[name] * rank for name, rank in ranks.items()),
        sum(sum(row.gains[row.rank : row.rank + 1]) for row in rows),
    )


def uniform_rank(targets: Sequence[Target], limit: int) -> int:
    """The highest rank that every target may have within a limit of parameters."""
    rank, highest = 0, max((target.max_rank for target in targets), default=0)
    while rank < highest and _size(targets, rank + 1) <= limit:
        rank += 1
    return rank


def _size(targets: Sequence[Target], rank: int) -> int:
    return Allocation.uniform(targets, rank).parameters(targets)


def _left(rows: Sequence[Weighed]) -> dict[str, list[float]]:
    """The gain of so many further ranks, from none on."""
    found = {}
    for row in rows:
        sums = [0.0]
        for gain in row.gains[row.rank :]:
            sums.append(sums[-1] + gain)
        found[row.target.name] = sums
    return found
