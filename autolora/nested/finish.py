"""Training on from truncated weights: a few candidates for a stretch, the best to the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autolora.artifacts.adapter import Adapter
from autolora.errors import NoRateConverged
from autolora.nested.adapters import cut
from autolora.nested.truncated import Ranks, sample
from autolora.nested.trying import Judged, Tried, tried
from autolora.spending.work import Terms, Work
from autolora.training.fit import Fit, Run
from autolora.training.settings import TrainingSettings

_EVALUATIONS = 3


@dataclass(frozen=True)
class Candidate:
    """An allocation to go on with, and the learning rate it takes."""

    name: str
    ranks: Ranks
    learning_rate: float

    def at(self, share: float) -> "Candidate":
        """The same at a share of its rate."""
        return Candidate(f"{self.name}, rate {share:g}", self.ranks, share * self.learning_rate)


@dataclass(frozen=True)
class Finishing:
    """How the last run is trained.

    Attributes:
        stretch: The share of its steps that every candidate takes before the best goes on: a
            short run of its own, whose rate falls to zero, so that noise does not decide.
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
    stretches = _stretches(work, adapter, candidates, how, settings) if candidates[1:] else None
    if stretches is not None and stretches.best is None:
        raise NoRateConverged([candidate.learning_rate for candidate in candidates])
    named = {candidate.name: candidate for candidate in candidates}
    best = named[stretches.best] if stretches and stretches.best else candidates[0]
    start = cut(adapter, best.ranks)
    fit = work.fit(
        "final run",
        start.allocation,
        best.learning_rate,
        settings=settings,
        start=start if how.warm else None,
        left=stretches.left if stretches else None,
        about=how.stretch if stretches else None,
    )
    return Finished(fit, best, stretches.judged if stretches else {})


def _stretches(
    work: Work,
    adapter: Adapter,
    candidates: Sequence[Candidate],
    how: Finishing,
    settings: TrainingSettings,
) -> Tried:
    """A short run of every candidate, judged on examples that chose none of them."""
    terms, until = work.terms, _until(settings.steps, how.stretch)
    short = settings.model_copy(update={"steps": until, "evaluations": 1})
    runs = {}
    for candidate in candidates:
        start = cut(adapter, candidate.ranks)
        proposal = terms.proposal(start.allocation, candidate.learning_rate)
        begins = start if how.warm else None
        runs[candidate.name] = Run(terms.task, proposal, short, work.seed, begins)
    shown = sample(terms.task, how.examples, seed=work.seed, skip=how.skip)
    shown = shown or sample(terms.task, how.examples, seed=work.seed)
    told = [(c.name, dict(c.ranks), c.learning_rate) for c in candidates]
    return tried(work, "stretches", runs, Judged(shown), (told, until, how.warm, adapter.digest))


def _until(steps: int, stretch: float) -> int:
    return max(1, round(steps * stretch))


def _settings(work: Work, count: int, how: Finishing, allowance: int) -> TrainingSettings:
    """As many steps as the allowance holds, the stretches of the others included."""
    steps = most_steps(work.terms, count, how, allowance)
    change: dict[str, Any] = {"steps": steps, "evaluations": min(_EVALUATIONS, steps)}
    return work.terms.settings.model_copy(update=change)


def most_steps(terms: Terms, count: int, how: Finishing, allowance: int) -> int:
    """The longest last run within an allowance; at least a single step."""
    low, high = 1, max(2, allowance // (2 * terms.settings.batch_size) + 1)
    while high - low > 1:
        steps = (low + high) // 2
        if cost(terms, steps, count, how) <= allowance:
            low = steps
        else:
            high = steps
    return low


def cost(terms: Terms, steps: int, count: int, how: Finishing) -> int:
    """The most that a last run of so many steps costs, the stretches of all candidates included."""
    passes = terms.passes(steps, min(_EVALUATIONS, steps))
    if count > 1:
        passes += (count - 1) * terms.passes(_until(steps, how.stretch), 0)
        judged = how.examples + terms.settings.batch_size
        passes += count * min(judged, terms.task.examples("valid"))
    return passes
