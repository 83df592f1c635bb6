"""Allocations to compare at an equal budget: even ones, and ones at random."""

from collections.abc import Sequence

import numpy as np

from autolora.lora.allocation import Allocation
from autolora.lora.targets import Target

HIGHEST = 8  # the highest rank that is drawn
_TRIES = 10_000
_SHAPE = 0.2  # of the gamma distribution of weights: the lower, the fewer targets get most ranks


def evenly(targets: Sequence[Target], budget: int) -> Allocation:
    """One rank after the other to each target in turn, as long as one still fits the budget."""
    ranks = {target.name: 0 for target in targets}
    left, given = budget, True
    while given:
        given = False
        for target in targets:
            if target.cost <= left and ranks[target.name] < target.max_rank:
                ranks[target.name] += 1
                left, given = left - target.cost, True
    return Allocation(ranks)


def placements(targets: Sequence[Target], budget: int) -> dict[str, Allocation]:
    """All targets, those of attention, and those of the MLPs: each evenly.

    They are told by their names, so they are those of the decoder of this package.
    """
    mlp = [target for target in targets if target.layer.endswith((".up", ".down"))]
    attention = [target for target in targets if target not in mlp]
    named = {"uniform": targets, "attention": attention, "mlp": mlp}
    return {name: evenly(some, budget) for name, some in named.items()}


def scattered(targets: Sequence[Target], budget: int, seed: int) -> Allocation:
    """Ranks at random that take the budget to the last parameter; most targets get few or none.

    Each target has a weight from a gamma distribution, by which ranks are dealt out.

    Raises:
        ValueError: if no draw takes the budget to the last parameter.
    """
    rng = np.random.default_rng(seed)
    for _ in range(_TRIES):
        ranks, left = _dealt(targets, budget, rng)
        if not left:
            return Allocation(ranks)
    raise ValueError(f"no ranks up to {HIGHEST} take exactly {budget} parameters")


def _dealt(
    targets: Sequence[Target], budget: int, rng: np.random.Generator
) -> tuple[dict[str, int], int]:
    """Ranks dealt out one by one until none fits, and the parameters that are left."""
    weights = rng.gamma(_SHAPE, size=len(targets))
    ranks, left = {target.name: 0 for target in targets}, budget
    while True:
        most = [min(HIGHEST, target.max_rank) for target in targets]
        fits = np.array(
            [
                target.cost <= left and ranks[target.name] < highest
                for target, highest in zip(targets, most, strict=True)
            ]
        )
        if not (weights * fits).sum():
            return ranks, left
        dealt = targets[rng.choice(len(targets), p=weights * fits / (weights * fits).sum())]
        ranks[dealt.name] += 1
        left -= dealt.cost
