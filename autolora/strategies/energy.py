"""Train a high uniform rank, then keep the largest singular values of all deltas together."""

import math
from functools import partial
from typing import Any

from pydantic import Field

from autolora.artifacts.adapter import Adapter
from autolora.lora.allocation import Allocation
from autolora.lora.factors import of_pair
from autolora.nested.adapters import rebased
from autolora.nested.chosen import chosen
from autolora.space.read import Strict
from autolora.spending import Found, Stage, Work
from autolora.spending.effort import rates_within
from autolora.spending.filling import average_rank, counted, fitting, most_ranks
from autolora.spending.measured import remeasured
from autolora.spending.rates import best_of_rates
from autolora.spending.work import Terms
from autolora.training.fit import Fit
from autolora.training.settings import TrainingSettings

_NAME = "energy"
_TRAIN, _CUT, _FINISH = "high rank", "cut adapters", "finish"


class OPTIONS(Strict):
    """How high it trains, and whether it trains on.

    The rank is `factor` times the budget's average rank. `finish` is how many steps the cut
    adapter trains on, as a share of a fine-tune: nothing without.
    """

    learning_rates: int = Field(default=3, ge=1, le=20)
    factor: float = Field(default=4.0, ge=1, le=64)
    finish: float = Field(default=0.0, ge=0, le=2)


def account(options: OPTIONS, terms: Terms) -> tuple[Stage, ...]:
    """A fine-tune and an evaluation of what was cut for each rate; the steps after.

    Raises:
        AllowanceTooSmall: if it does not hold one rate.
    """
    count = len(_rates(options, terms))
    stages = (
        Stage(_TRAIN, count * terms.fine_tune),
        Stage(_CUT, count * terms.task.examples("valid")),
    )
    last = _finishing(options, terms)
    return stages if last is None else (*stages, Stage(_FINISH, _passes(terms, last)))


def search(options: OPTIONS, work: Work) -> Found:
    """Trains at every rate, cuts every run, and hands back the best of what was cut.

    Raises:
        AllowanceTooSmall: if the allowance does not hold one rate.
        NoRateConverged: if every learning rate diverges.
    """
    terms = work.terms
    rates, start = _rates(options, terms), high(options, terms)
    rate, fit = best_of_rates(partial(_cut, work, start), rates)
    about: dict[str, Any] = {
        "learning_rates": list(rates),
        "peak_parameters": start.parameters(terms.space.targets),
        "high_ranks": dict(start),
        "ranks": dict(fit.adapter.allocation),
        "cut_loss": fit.loss,
    }
    last = _finishing(options, terms)
    if last is not None and fit.adapter.factors:
        ranks = fit.adapter.allocation
        later = work.fit(_FINISH, ranks, rate, settings=last, start=fit.adapter)
        about["finished_loss"] = later.loss
        fit = min(fit, later, key=lambda each: each.loss)
    return Found.of(fit, rate, tuple(work.ledger), **about)


def high(options: OPTIONS, terms: Terms) -> Allocation:
    """The ranks that are trained, rounded up."""
    rank = math.ceil(options.factor * average_rank(terms))
    return terms.space.uniform(rank)


def thresholded(adapter: Adapter, terms: Terms) -> Adapter:
    """The largest singular values over all deltas that the parameters hold; one threshold for all.

    Values below the threshold fill what is left where they still fit.

    Source: PARA (2604.27796).
    """
    values = {
        name: of_pair(up, down, adapter.scales[name]).values.tolist()
        for name, (up, down) in adapter.factors.items()
    }
    most = most_ranks(terms)
    offered = {name: found[: most[name]] for name, found in values.items()}
    order = sorted((-v, n, i) for n, found in offered.items() for i, v in enumerate(found))
    taken = fitting(((n, i) for _, n, i in order), terms.costs, terms.parameters)
    ranks = counted(taken, values)
    return chosen(rebased(adapter), {name: range(rank) for name, rank in ranks.items()})


def _cut(work: Work, start: Allocation, rate: float) -> Fit:
    fit = work.fit(_TRAIN, start, rate)
    return remeasured(work, _CUT, fit, thresholded(fit.adapter, work.terms))


def _rates(options: OPTIONS, terms: Terms) -> tuple[float, ...]:
    each = terms.fine_tune + terms.task.examples("valid")
    last = _finishing(options, terms)
    before = 0 if last is None else _passes(terms, last)
    return rates_within(_NAME, terms, options.learning_rates, each, before)


def _finishing(options: OPTIONS, terms: Terms) -> TrainingSettings | None:
    steps = round(options.finish * terms.settings.steps)
    if not steps:
        return None
    evaluations = min(terms.settings.evaluations, steps)
    return terms.settings.model_copy(update={"steps": steps, "evaluations": evaluations})


def _passes(terms: Terms, settings: TrainingSettings) -> int:
    return terms.passes(settings.steps, settings.evaluations)
