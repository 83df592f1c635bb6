"""Whether cheap scores may be trusted: do they rank allocations as their measured losses do?"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics.functional import kendall_rank_corrcoef

from autolora.nested.candidates import Room
from autolora.nested.scores import Scores, gains
from autolora.nested.truncated import Ranks, Sample, Truncated

ALLOCATIONS = 12
TRUSTED = 0.4  # Kendall's tau from which scores are believed


@dataclass(frozen=True)
class Gate:
    """Kendall's tau of each score over the same random allocations; which is best, if any."""

    taus: dict[str, float]
    trusted: str | None


def gate(
    truncated: Truncated,
    scores: dict[str, Scores],
    room: Room,
    sample: Sample,
    seed: int,
) -> Gate:
    """Measures a dozen random allocations of the budget and compares them with their scores.

    Source: Kendall 1938, for the rank correlation.
    """
    drawn = random_allocations(room, ALLOCATIONS, seed)
    losses = torch.tensor([losses.mean for losses in truncated.each(drawn, sample)])
    taus = {name: _tau(-_sums(score, drawn), losses) for name, score in scores.items()}
    best = max(taus, key=lambda name: taus[name])
    return Gate(taus, best if taus[best] >= TRUSTED else None)


def random_allocations(room: Room, count: int, seed: int) -> list[dict[str, int]]:
    """Allocations that use up the budget, their ranks drawn at random, by random gains."""
    generator = torch.Generator().manual_seed(seed)
    costs = room.costs

    def draw(name: str) -> Tensor:
        heights = torch.rand(1, generator=generator).double() ** 3
        falling = torch.rand(room.most[name], generator=generator).double().sort(descending=True)
        return costs[name] * heights * falling.values

    names = [target.name for target in room.targets]
    return [room.best(gains({name: draw(name) for name in names})) for _ in range(count)]


def _sums(scores: Scores, drawn: Sequence[Ranks]) -> Tensor:
    return torch.tensor(
        [sum(float(scores[n][: ranks[n]].sum()) for n in ranks if n in scores) for ranks in drawn]
    )


def _tau(predicted: Tensor, losses: Tensor) -> float:
    found = kendall_rank_corrcoef(predicted, losses)
    assert isinstance(found, Tensor), "without a test there is only the coefficient"
    return float(found)
