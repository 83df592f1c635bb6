"""Training on from truncated weights: a few candidates for a stretch, the best to the end."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from autolora.artifacts.adapter import Adapter
from autolora.errors import Diverged, NoRateConverged
from autolora.nested.adapters import cut
from autolora.nested.truncated import Ranks, Truncated, sample
from autolora.spending.work import Work
from autolora.training.fit import Begun, Fit, Run, begin, train
from autolora.training.settings import TrainingSettings

_EVALUATIONS = 3


@dataclass(frozen=True)
class Candidate:
    """An allocation to go on with, and the learning rate it takes."""

    name: str
    ranks: Ranks
    learning_rate: float


@dataclass(frozen=True)
class Finishing:
    """How the last run is trained.

    Attributes:
        stretch: The share of its steps that every candidate takes before the best goes on.
        examples: How many judge a candidate then.
        skip: How many examples the choice of allocations has used before.
        warm: Whether it starts from the truncated weights; anew otherwise.
    """

    stretch: float
    examples: int
    skip: int
    warm: bool = True


@dataclass(frozen=True)
class Finished:
    """The last run, whose candidate it was, and how the others did after their stretch."""

    fit: Fit
    candidate: Candidate
    judged: Mapping[str, float]


def finish(
    work: Work, adapter: Adapter, candidates: Sequence[Candidate], how: Finishing, allowance: int
) -> Finished:
    """Spends an allowance on training the best of some candidates to the end.

    The stretch of the winner is the beginning of its run, so nothing of it is lost.

    Raises:
        NoRateConverged: if every candidate diverges.
    """
    settings = _settings(work, len(candidates), how, allowance)
    begun: dict[str, Begun] = {}
    judged: dict[str, float] = {}
    if len(candidates) > 1:
        about = [(c.name, dict(c.ranks), c.learning_rate) for c in candidates]
        stretch = partial(_stretches, work, adapter, candidates, how, settings, begun)
        stage = work.once("stretches", stretch, about, settings.steps, adapter.digest)
        judged = dict(stage)
    best = min(candidates, key=lambda c: judged.get(c.name, math.inf))  # the first of equals
    again = partial(_go_on, work, begun[best.name]) if best.name in begun else None
    start = cut(adapter, best.ranks) if how.warm else None
    allocation = cut(adapter, best.ranks).allocation
    fit = work.fit(
        "final run", allocation, best.learning_rate, settings=settings, start=start, again=again
    )
    return Finished(fit, best, judged)


def _stretches(  # noqa: PLR0913 - bound by `partial`, called without arguments
    work: Work,
    adapter: Adapter,
    candidates: Sequence[Candidate],
    how: Finishing,
    settings: TrainingSettings,
    begun: dict[str, Begun],
) -> tuple[dict[str, float], int]:
    shown = sample(work.terms.task, how.examples, seed=work.seed, skip=how.skip)
    shown = shown or sample(work.terms.task, how.examples, seed=work.seed)
    judged, passes = {}, 0
    for candidate in candidates:
        start = cut(adapter, candidate.ranks)
        proposal = work.terms.space.fixed(start.allocation, candidate.learning_rate)
        run = Run(work.terms.task, proposal, settings, work.seed, start if how.warm else None)
        until = _until(settings.steps, how.stretch)
        try:
            first = begin(run, work.shared, until)
        except Diverged:
            passes += work.terms.passes(until, 0)
            continue
        seen = Truncated(first.adapter, work.terms.task, settings)
        judged[candidate.name] = seen.losses(start.allocation, shown).mean
        passes += first.ledger.example_passes + seen.example_passes
        begun[candidate.name] = first
    if not judged:
        raise NoRateConverged([candidate.learning_rate for candidate in candidates])
    best = min(judged, key=lambda name: judged[name])
    return judged, passes - begun[best].ledger.example_passes


def _until(steps: int, stretch: float) -> int:
    return max(1, round(steps * stretch))


def _go_on(work: Work, begun: Begun, run: Run) -> Fit:
    """The rest of the run whose stretch was the best."""
    return train(run, work.shared, start=begun.checkpoint).with_cost_of(begun.ledger)


def _settings(work: Work, count: int, how: Finishing, allowance: int) -> TrainingSettings:
    """As many steps as the allowance holds, the stretches of the others included."""
    steps = most_steps(work, count, how, allowance)
    change: dict[str, Any] = {"steps": steps, "evaluations": min(_EVALUATIONS, steps)}
    return work.terms.settings.model_copy(update=change)


def most_steps(work: Work, count: int, how: Finishing, allowance: int) -> int:
    """The longest last run within an allowance; at least a single step."""
    low, high = 1, max(2, allowance // (2 * work.terms.settings.batch_size) + 1)
    while high - low > 1:
        steps = (low + high) // 2
        if _cost(work, steps, count, how) <= allowance:
            low = steps
        else:
            high = steps
    return low


def _cost(work: Work, steps: int, count: int, how: Finishing) -> int:
    terms = work.terms
    cost = terms.passes(steps, min(_EVALUATIONS, steps))
    if count > 1:
        cost += (count - 1) * terms.passes(_until(steps, how.stretch), 0)
        cost += count * (how.examples + terms.settings.batch_size)
    return cost
