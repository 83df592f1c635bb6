"""What every single rank of every target is worth: gains that a knapsack can add up."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from autolora.nested.knapsack import Gains
from autolora.nested.truncated import Sample, Truncated

Scores = Mapping[str, Tensor]  # for each target (highest rank,): the gain of each rank


def energy(truncated: Truncated) -> Scores:
    """The squared singular values of the deltas: no passes, no data.

    Source: Eckart and Young 1936; one threshold over all of them: PARA (2604.27796).
    """
    return {
        name: (up.norm(dim=0) * down.norm(dim=1)).square().double().cpu()
        for name, (up, down) in truncated.full.items()
    }


def along_gates(truncated: Truncated, sample: Sample, points: Sequence[float]) -> Scores:
    """How much of the fall of the loss, from the base to the whole adapter, each rank brings.

    A gate multiplies every rank; all gates are opened together, and the gradient of the loss with
    respect to each is averaged on the way. The scores of all ranks add up to the whole fall.

    Args:
        truncated: The adapter and its model.
        sample: Batches; they cost two example-passes a point.
        points: How far the gates are open, 0 to 1, at the middles of equal parts of the way.

    Source: Sundararajan et al. 2017 (integrated gradients), proposition 1, with gates as inputs.
    """

    def gates(point: float) -> dict[str, Tensor]:
        return {name: torch.full((rank,), point) for name, rank in truncated.ranks.items()}

    return _averaged(truncated, sample, [gates(point) for point in points])


def along_ranks(truncated: Truncated, sample: Sample, ranks: Sequence[int]) -> Scores:
    """The same along uniform ranks: gates are open or shut, as they are where ranks are cut."""
    ways = [truncated.gates(dict.fromkeys(truncated.ranks, rank)) for rank in ranks]
    return _averaged(truncated, sample, ways)


def around(truncated: Truncated, sample: Sample, ranks: Mapping[str, int]) -> Scores:
    """The slope of the loss at an allocation: what ranks beyond it, and those in it, would bring.

    First order, so it holds for few changes at a time.
    """
    return _averaged(truncated, sample, [truncated.gates(ranks)])


def measured(
    truncated: Truncated, sample: Sample, ranks: Mapping[str, int], levels: Sequence[int]
) -> Scores:
    """What the loss rises by when one target alone is cut to each of some levels.

    The others stay at `ranks`. Between two levels the rise is spread evenly.
    """
    full = {name: min(ranks.get(name, 0), most) for name, most in truncated.ranks.items()}
    cuts = [(n, x) for n, at in full.items() for x in sorted(set(levels), reverse=True) if x < at]
    ways = [ranks, *({**ranks, name: level} for name, level in cuts)]
    whole, *losses = (each.mean for each in truncated.each(ways, sample))
    at_level = dict(zip(cuts, losses, strict=True))
    found = {}
    for name, highest in truncated.ranks.items():
        scores = torch.zeros(highest, dtype=torch.float64)
        above, at = whole, full[name]
        for level in (x for cut, x in cuts if cut == name):
            loss = at_level[name, level]
            scores[level:at] = (loss - above) / (at - level)
            above, at = loss, level
        found[name] = scores
    return found


def gains(scores: Scores) -> Gains:
    """The gain of every rank, from 0, as a knapsack takes it."""
    return {n: [0.0, *torch.cumsum(s.double(), 0).tolist()] for n, s in scores.items()}


def shrunk(scores: Scores, costs: Mapping[str, int], trust: float) -> Gains:
    """Gains between a uniform preference (trust 0) and the scores (trust 1), on one scale.

    The uniform preference gives the i-th rank of every target the worth 1/i for each of its
    parameters: alone, it fills ranks evenly.

    Source: shrinkage toward a common value, James and Stein 1961.
    """
    even = {
        n: costs[n] / torch.arange(1, len(s) + 1, dtype=torch.float64) for n, s in scores.items()
    }
    whole = sum(float(e.sum()) for e in even.values())
    total = sum(float(s.clamp_min(0).sum()) for s in scores.values()) or 1.0
    mixed = {
        n: trust * s.double() / total + (1 - trust) * even[n] / whole for n, s in scores.items()
    }
    return gains(mixed)


def _averaged(truncated: Truncated, sample: Sample, ways: Sequence[Mapping[str, Tensor]]) -> Scores:
    total: dict[str, Tensor] = {}
    for gates in ways:
        for name, slope in truncated.slopes(gates, sample).items():
            fall = -slope.double() / len(ways)
            total[name] = total[name] + fall if name in total else fall
    return total
