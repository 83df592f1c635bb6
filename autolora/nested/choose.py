"""From the factors of one run to the allocations that are worth training on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autolora.nested.candidates import UNIFORM, Room, placements
from autolora.nested.gate import ALLOCATIONS, Gate, gate
from autolora.nested.local import climb
from autolora.nested.race import Ranked, race
from autolora.nested.scores import Scores, along_gates, along_ranks, energy, measured, shrunk
from autolora.nested.treats import powers
from autolora.nested.truncated import Ranks, Sample, Truncated, sample, size

_POINTS = (0.25, 0.75)  # how far the gates are open: the middles of two equal parts
_GATED = 32  # examples that measure a random allocation
_LOOKS = 48  # about how many times the sample is passed, scores, gate, race and search together
_LEAST, _MOST = 32, 256  # examples of the sample
_RACE = 8  # how many times the sample is kept for the race


@dataclass(frozen=True)
class Choosing:
    """What is done to choose.

    Attributes:
        gate: Whether scores must prove themselves on random allocations, and are replaced by
            measured sensitivities if they do not.
        race: Whether allocations are compared by their truncated loss; without, the best score
            decides.
        search: Whether the best of the race is improved by moving ranks.
        trusts: How far scores are believed, from 0 (uniform) to 1; each gives a candidate.
    """

    gate: bool = True
    race: bool = True
    search: bool = True
    trusts: tuple[float, ...] = (0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Chosen:
    """Allocations from the best, by truncated loss, and what was seen on the way.

    `scores` are those that were believed, `scored` is what they are called.
    """

    ranked: tuple[Ranked, ...]
    gate: Gate | None
    scores: Scores
    measured: int
    scored: str

    def about(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "candidates": [
                {"name": r.name, "ranks": dict(r.ranks), "loss": _known(r), "examples": r.examples}
                for r in self.ranked
            ],
            "tau": dict(self.gate.taus) if self.gate else {},
            "trusted": self.gate.trusted if self.gate else None,
            "scores": {name: score.tolist() for name, score in self.scores.items()},
            "scored": self.scored,
            "evaluated": self.measured,
        }


def _known(ranked: Ranked) -> float | None:
    """The loss, if there was a race: JSON has no NaN."""
    return ranked.loss if math.isfinite(ranked.loss) else None


def sample_size(allowance: int) -> int:
    """How many examples a look takes, so that all looks keep the allowance."""
    return max(_LEAST, min(_MOST, allowance // _LOOKS // _LEAST * _LEAST))


def choose(truncated: Truncated, room: Room, how: Choosing, *, allowance: int, seed: int) -> Chosen:
    """Scores every rank, lets allocations race, and improves the best ones.

    The uniform allocation of the budget is always among them.

    Args:
        truncated: The run at a high rank, cut as one likes.
        room: What an allocation may be.
        how: What is done.
        allowance: Example-passes.
        seed: Decides the examples and the random allocations.
    """
    purse = _Purse(truncated, truncated.example_passes + allowance)
    uniform = room.even(truncated.ranks)
    shown = sample(truncated.task, sample_size(allowance), seed=seed)
    scores = _scores(truncated, shown, purse)
    passed = None
    if how.gate and purse.holds(ALLOCATIONS * _GATED + _RACE * size(shown)):
        passed = gate(truncated, scores, room, sample(truncated.task, _GATED, seed=seed + 1), seed)
    if passed is not None and passed.trusted is None:
        scores = _sensitivities(truncated, shown[:1], uniform, purse) | scores
    candidates = _candidates(scores, room, uniform, how.trusts)
    best = passed.trusted if passed and passed.trusted else next(iter(scores))
    ranked: tuple[Ranked, ...] = ()
    if how.race:
        half = purse.left // 2 if how.search else purse.left
        ranked = race(truncated, candidates, shown, allowance=half, always=(UNIFORM,))
    if not ranked:
        return Chosen(_believed(candidates, best), passed, scores[best], 0, best)
    count = len(candidates)
    if how.search:
        ranked, more = _searched(truncated, ranked, room, shown, purse)
        count += more
    return Chosen(ranked, passed, scores[best], count, best)


@dataclass(frozen=True)
class _Purse:
    """What may still be spent on looks."""

    truncated: Truncated
    ends: int

    @property
    def left(self) -> int:
        return self.ends - self.truncated.example_passes - self.truncated.pending

    def holds(self, passes: int) -> bool:
        return passes <= self.left


def _scores(truncated: Truncated, shown: Sample, purse: _Purse) -> dict[str, Scores]:
    """The scores that the purse holds, the race kept in mind; the best known first."""
    found: dict[str, Scores] = {}
    levels, look = _levels(truncated), 2 * size(shown)
    if purse.holds(look * len(_POINTS) + _RACE * size(shown)):
        found["gates"] = along_gates(truncated, shown, _POINTS)
    if purse.holds(look * len(levels) + _RACE * size(shown)):
        found["ranks"] = along_ranks(truncated, shown, levels)
    return found | {"energy": energy(truncated)}


def _sensitivities(
    truncated: Truncated, few: Sample, uniform: Ranks, purse: _Purse
) -> dict[str, Scores]:
    """Measured sensitivities, where they can be paid for."""
    levels = (0, max(1, max(uniform.values(), default=1)))
    cost = (len(levels) * len(truncated.ranks) + 1) * size(few)
    if not purse.holds(cost + _RACE * size(few)):
        return {}
    return {"measured": measured(truncated, few, truncated.ranks, levels)}


def _levels(truncated: Truncated) -> tuple[int, ...]:
    """Ranks 0, 1, 2, … below the highest, at which the way from the base is looked at."""
    highest = max(truncated.ranks.values())
    return (0, *powers(highest)[:-1])[:4]


def _candidates(
    scores: Mapping[str, Scores], room: Room, uniform: Ranks, trusts: Sequence[float]
) -> dict[str, Ranks]:
    found: dict[str, Ranks] = {UNIFORM: uniform, **placements(room, room.families)}
    for name, score in scores.items():
        for trust in trusts:
            found[f"{name}, trust {trust:g}"] = room.best(shrunk(score, room.costs, trust))
    return found


def _believed(candidates: Mapping[str, Ranks], score: str) -> tuple[Ranked, ...]:
    """The candidate that a score alone proposes, at the middle of its trusts, and uniform."""
    names = [name for name in candidates if name.startswith(f"{score},")]
    chosen = names[len(names) // 2]
    return tuple(Ranked(n, candidates[n], float("nan"), 0) for n in (chosen, UNIFORM))


def _searched(
    truncated: Truncated,
    ranked: tuple[Ranked, ...],
    room: Room,
    shown: Sample,
    purse: _Purse,
) -> tuple[tuple[Ranked, ...], int]:
    """The race with what moves of ranks make of its best."""
    start = ranked[0]
    if not purse.holds(_RACE * size(shown)):
        return ranked, 0
    ranks, loss, count = climb(truncated, start.ranks, room, shown, purse.left)
    if dict(ranks) == dict(start.ranks):
        return ranked, count
    name = f"{start.name}, searched"
    return (Ranked(name, ranks, loss, size(shown)), *ranked), count
