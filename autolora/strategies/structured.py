"""Structured: as nest, but Optuna searches about ten numbers that decide the allocation.

Unit of compute: FT, one fine-tune of the study's length. Of 2 FT about 0.1 finds a learning rate,
0.8 train a high rank, 0.3 try allocations without training, and the rest trains the best of a few
from the truncated weights. Uniform ranks are the first point of the search, and train on as well.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import optuna
from pydantic import Field

from autolora.nested.candidates import UNIFORM, Room
from autolora.nested.finish import finish
from autolora.nested.high import Nesting, Trained
from autolora.nested.planned import Ends, Planned, concluded, looked, planned, remaining, trained
from autolora.nested.profile import TRUST, Numbers, Profile
from autolora.nested.room import distinct, followers, room_of
from autolora.nested.scores import along_gates
from autolora.nested.truncated import Ranks, Sample, Truncated, sample
from autolora.space.read import Strict
from autolora.spending import Found, Stage, Work
from autolora.spending.work import Terms

_NAME = "structured"
_POINTS = (0.25, 0.75)  # how far the gates are open: the middles of two equal parts
_SCORING = 2 * len(_POINTS)  # looks that scores cost
_TRIED = 8  # allocations at least, beside the scores
_TOLD = 12  # allocations that are told with all their ranks
_FAILED = optuna.trial.TrialState.FAIL
_STARTUP = 10  # points drawn at random before the sampler learns


class OPTIONS(Strict):
    """How it spends its allowance; shares are of the whole.

    `rank` is the high rank: without one, four times the uniform rank of the budget and at least 8,
    within what the space offers. `nesting` says how lower ranks are trained with it. `rates`
    learning rates take the first `probe` of its steps; the best goes on at `caution` times its
    rate. Optuna proposes up to `trials` points, as many as `choosing` holds. The best `candidates`
    allocations and uniform train on for a `stretch` of the last run, at `final_rate` times the rate
    of the high run. `multiple` makes ranks multiples of it; `tied` gives the groups of the space
    one rank each.
    """

    rank: int | None = Field(default=None, ge=1)
    nesting: Nesting = "weighted"
    rates: int = Field(default=3, ge=1, le=10)
    probe: float = Field(default=0.15, gt=0, le=0.5)
    caution: float = Field(default=0.9, gt=0, le=1)
    high: float = Field(default=0.42, gt=0, lt=1)
    choosing: float = Field(default=0.15, gt=0, lt=1)
    trials: int = Field(default=60, ge=3, le=1000)
    candidates: int = Field(default=2, ge=1, le=10)
    stretch: float = Field(default=0.2, gt=0, le=0.5)
    final_rate: float = Field(default=0.5, gt=0, le=2)
    multiple: int = Field(default=1, ge=1)
    tied: bool = False


def account(options: OPTIONS, terms: Terms) -> tuple[Stage, ...]:
    """What each stage will cost at most; what choosing leaves over goes to the last.

    Raises:
        AllowanceTooSmall: if a run would be too short to tell anything.
    """
    plan = planned(_NAME, options, terms, _ends(options, terms))
    return (*plan.before, Stage("stretches and final run", plan.each))


def search(options: OPTIONS, work: Work) -> Found:
    """Spends the allowance: probe, high rank, a study over numbers, stretches, final run.

    Raises:
        AllowanceTooSmall: if a run would be too short to tell anything.
        BudgetTooSmall: if the budget of parameters does not hold a single rank.
        NoRateConverged: if every learning rate diverges.
    """
    plan = planned(_NAME, options, work.terms, _ends(options, work.terms))
    room = room_of(work.terms, options.rank, multiple=options.multiple, tied=options.tied)
    high = trained(work, plan, room)
    chosen = _chosen(options, work, plan, high, room)
    ranked = distinct({each["name"]: each["ranks"] for each in chosen["candidates"]})
    rate = high.learning_rate * options.final_rate
    candidates = followers(ranked, options.candidates, rate)
    allowance = remaining(work, plan, plan.choosing)
    finished = finish(work, high.adapter, candidates, plan.final, allowance)
    return concluded(work, high, finished, chosen)


@dataclass
class _Tried:
    """Allocations that were evaluated on one sample; equal ones once."""

    truncated: Truncated
    shown: Sample
    found: dict[tuple[tuple[str, int], ...], dict[str, Any]] = field(default_factory=dict)

    def knows(self, ranks: Ranks) -> bool:
        """Whether an allocation has been evaluated."""
        return tuple(sorted(ranks.items())) in self.found

    def loss(self, name: str, numbers: Numbers, ranks: Ranks) -> float | None:
        """The truncated loss of an allocation, evaluated if that was not done before.

        None where it is not finite: neither Optuna nor JSON has a number for that.
        """
        key = tuple(sorted(ranks.items()))
        if key not in self.found:
            losses = self.truncated.losses(ranks, self.shown)
            loss = losses.mean if math.isfinite(losses.mean) else None
            told = {"loss": loss, "examples": len(losses.losses), "numbers": dict(numbers)}
            self.found[key] = {"name": name, "ranks": dict(ranks), **told}
        known: float | None = self.found[key]["loss"]
        return known

    def ranked(self) -> list[dict[str, Any]]:
        """All of them from the best; of equal losses the first."""

        def order(each: dict[str, Any]) -> float:
            return math.inf if each["loss"] is None else float(each["loss"])

        return sorted(self.found.values(), key=order)


def _ends(options: OPTIONS, terms: Terms) -> Ends:
    """A sample is as large as all trials allow; where it is small, fewer are evaluated."""
    looks = _SCORING + min(options.trials, _TRIED)
    wanted = int(options.choosing * terms.allowance) // max(1, looked(terms, 1))
    return Ends(1, options.candidates + 1, max(looks, min(_SCORING + options.trials, wanted)))


def _chosen(
    options: OPTIONS, work: Work, plan: Planned, high: Trained, room: Room
) -> dict[str, Any]:
    terms = work.terms

    def compute() -> tuple[dict[str, Any], int]:
        truncated = Truncated(high.adapter, terms.task, terms.settings)
        shown = sample(terms.task, plan.sample, seed=work.seed)
        scores = along_gates(truncated, shown, _POINTS)
        tried = _Tried(truncated, shown)
        looks = plan.choosing // looked(terms, plan.sample) - _SCORING
        profile = Profile(room, scores)
        with _silent():
            proposed = _searched(profile, tried, options.trials, looks, work.seed)
        work.journal.evaluated(high.adapter.digest, truncated.evaluations)
        about = {
            "candidates": _shortened(tried.ranked()),
            "points": [{k: p[k] for k in ("name", "loss", "numbers")} for p in tried.ranked()],
            "proposed": proposed,
            "scored": "gates",
            "scores": {name: score.tolist() for name, score in scores.items()},
            "evaluated": len(tried.found),
        }
        return about, truncated.example_passes

    about = (options.model_dump(mode="json"), plan.sample, plan.choosing, terms.parameters)
    return dict(work.once("choosing allocations", compute, *about, high.adapter.digest))


def _shortened(ranked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The best of all that were tried, and uniform."""
    return [each for i, each in enumerate(ranked) if i < _TOLD or each["name"] == UNIFORM]


def _searched(profile: Profile, tried: _Tried, trials: int, looks: int, seed: int) -> int:
    """Tries points until either has run out; gives how many were proposed.

    Source: Bergstra et al. 2011, for the sampler (a tree-structured Parzen estimator).
    """
    made = optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=_STARTUP)
    study = optuna.create_study(sampler=made)
    first = {
        UNIFORM: profile.uniform,
        "gates": profile.scored,
        "gates, trust 0.5": {**profile.uniform, TRUST: 0.5},
    }
    for numbers in first.values():
        study.enqueue_trial(numbers)
    names = dict(enumerate(first))
    domains = _domains(profile.bounds)
    for number in range(trials):
        trial = study.ask(domains)
        ranks = profile.ranks(trial.params)
        if not tried.knows(ranks) and len(tried.found) >= looks:
            return number
        name = names.get(number, f"point {number}")
        loss = tried.loss(name, trial.params, ranks)
        study.tell(trial, loss, state=None if loss is not None else _FAILED)
    return trials


def _domains(
    bounds: Mapping[str, tuple[float, float]],
) -> dict[str, optuna.distributions.BaseDistribution]:
    return {n: optuna.distributions.FloatDistribution(*between) for n, between in bounds.items()}


@contextmanager
def _silent() -> Iterator[None]:
    """Inside, Optuna logs warnings only."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
