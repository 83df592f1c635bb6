"""A race of allocations on shared batches: those that are surely worse drop out early."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autolora.nested.truncated import Losses, Ranks, Sample, Truncated

_SURE = 2.0  # standard errors of a paired difference, after which a candidate drops out


@dataclass(frozen=True)
class Ranked:
    """The candidates of a race from the best, with the mean loss over the examples they saw."""

    name: str
    ranks: Ranks
    loss: float
    examples: int


def race(
    truncated: Truncated,
    candidates: Mapping[str, Ranks],
    sample: Sample,
    *,
    allowance: int,
    always: Sequence[str] = (),
) -> tuple[Ranked, ...]:
    """Compares truncated losses example by example; batch after batch, the worse drop out.

    Before a batch, candidates whose paired difference to the leader is more than two standard
    errors above zero have left. Those in `always` stay to the end. The race ends when the
    allowance would be exceeded, or the sample is used up.

    Args:
        truncated: Evaluates an allocation.
        candidates: Allocations by name; equal ones run once.
        sample: Batches that every candidate sees in the same order.
        allowance: Example-passes.
        always: Names of candidates that are never dropped.

    Source: Maron and Moore 1997 (Hoeffding races), with paired differences.
    """
    running = _distinct(candidates, always)
    seen: dict[str, Losses] = {}
    ended: list[Ranked] = []
    for part in sample:
        before = truncated.example_passes
        if truncated.most(len(running), [part]) > allowance:
            break
        found = truncated.each(list(running.values()), [part])
        for name, losses in zip(running, found, strict=True):
            seen[name] = seen[name].joined(losses) if name in seen else losses
        allowance -= truncated.example_passes - before
        leader = min(running, key=lambda name: seen[name].mean)
        worse = [n for n in running if n not in always and surely_worse(seen[n], seen[leader])]
        ended += [_ranked(name, running.pop(name), seen[name]) for name in worse]
    finished = [_ranked(name, ranks, seen[name]) for name, ranks in running.items() if name in seen]
    finished.sort(key=lambda each: each.loss)
    return (*finished, *sorted(ended, key=lambda each: (-each.examples, each.loss)))


def _distinct(candidates: Mapping[str, Ranks], always: Sequence[str]) -> dict[str, Ranks]:
    """The candidates; of equal allocations the first, or the one that stays."""
    first: dict[tuple[tuple[str, int], ...], str] = {}
    for name in sorted(candidates, key=lambda name: name not in always):
        key = tuple(sorted((n, r) for n, r in candidates[name].items() if r))
        first.setdefault(key, name)
    return {name: candidates[name] for name in candidates if name in first.values()}


def surely_worse(losses: Losses, leader: Losses) -> bool:
    """Whether the paired difference is more than two standard errors above zero."""
    differences = losses.losses - leader.losses
    count = len(differences)
    if count < 2:
        return False
    error = float(differences.std()) / math.sqrt(count)
    return float(differences.mean()) > _SURE * error > 0


def _ranked(name: str, ranks: Ranks, losses: Losses) -> Ranked:
    return Ranked(name, ranks, losses.mean, len(losses.losses))
