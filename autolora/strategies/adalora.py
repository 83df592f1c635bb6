"""AdaLoRA: triplets P · λ · Q at 1.5 times the budget, pruned to it while they train."""

import math
from collections import Counter
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field, model_validator

from autolora.lora.allocation import Allocation
from autolora.lora.attach import Attached
from autolora.nested.chosen import nonzero
from autolora.nested.pruning import Cubic, Keeping, Unit
from autolora.nested.triplets import Pruning, Triplets
from autolora.space.read import Strict
from autolora.spending import Found, Stage, Work
from autolora.spending.effort import rates_within
from autolora.spending.filling import average_rank, most_ranks, parameters
from autolora.spending.rates import best_of_rates
from autolora.spending.work import Terms

_NAME = "adalora"


class OPTIONS(Strict):
    """How AdaLoRA prunes.

    `budget_unit` says what the schedule counts: ranks, as in the paper, or parameters; what is
    handed over keeps the parameters either way. It begins at `first` times the budget's average
    rank; for a share `warm` of the steps nothing is pruned, and for the last share `settle` the
    allocation stays as it is. `interval` is the share of the steps from one pruning to the next;
    `penalty` is the weight of orthogonality. The paper starts P and Q from a normal distribution.
    """

    learning_rates: int = Field(default=3, ge=1, le=20)
    budget_unit: Unit = "ranks"
    first: float = Field(default=1.5, ge=1, le=8)
    warm: float = Field(default=0.1, ge=0, le=1)
    settle: float = Field(default=0.5, ge=0, le=1)
    interval: float = Field(default=0.01, gt=0, le=1)
    penalty: float = Field(default=0.1, ge=0)
    start: Literal["orthogonal", "normal"] = "orthogonal"

    @model_validator(mode="after")
    def _time_to_prune(self) -> "OPTIONS":
        if self.warm + self.settle > 1:
            raise ValueError("`warm` and `settle` are shares of one run; together at most 1")
        return self


def account(options: OPTIONS, terms: Terms) -> tuple[Stage, ...]:
    """One fine-tune for each learning rate.

    Raises:
        AllowanceTooSmall: if it does not hold one.
    """
    rates = rates_within(_NAME, terms, options.learning_rates, terms.fine_tune)
    return (Stage(_NAME, len(rates) * terms.fine_tune),)


def search(options: OPTIONS, work: Work) -> Found:
    """Trains at every learning rate and hands back the best.

    Raises:
        AllowanceTooSmall: if the allowance does not hold one.
        NoRateConverged: if every learning rate diverges.
    """
    terms = work.terms
    rates = rates_within(_NAME, terms, options.learning_rates, terms.fine_tune)
    start, pruning = beginning(terms, options), plan(options, terms)

    def treats(attached: Attached, seed: int) -> Triplets:
        del seed  # torch's generator has been seeded by it
        return Triplets(attached, pruning)

    told = options.model_dump(mode="json")
    rate, fit = best_of_rates(
        lambda each: work.fit(_NAME, start, each, treats=treats, about=told), rates
    )
    fit = replace(fit, adapter=nonzero(fit.adapter))
    about = {**_about(options, terms, rates), "ranks": dict(fit.adapter.allocation)}
    return Found.of(fit, rate, tuple(work.ledger), **about)


def beginning(terms: Terms, options: OPTIONS) -> Allocation:
    """The ranks before anything is pruned, rounded up."""
    rank = math.ceil(options.first * average_rank(terms))
    return Allocation({name: min(rank, most) for name, most in most_ranks(terms).items()})


def plan(options: OPTIONS, terms: Terms) -> Pruning:
    """The schedule of a run of the study's length."""
    steps, start = terms.settings.steps, beginning(terms, options)
    ranks = sum(_uniform(terms).values())
    by_ranks = options.budget_unit == "ranks"
    cubic = Cubic(
        first=sum(start.values()) if by_ranks else parameters(start, terms.costs),
        last=ranks if by_ranks else terms.parameters,
        warm=round(options.warm * steps),
        settle=round(options.settle * steps),
        steps=steps,
    )
    keeping = Keeping(options.budget_unit, terms.costs, ranks, terms.parameters)
    interval = max(1, round(options.interval * steps))
    return Pruning(cubic, keeping, interval, options.penalty, options.start)


def _uniform(terms: Terms) -> Counter[str]:
    """The ranks that the paper's budget counts: those of the largest uniform allocation."""
    uniform = Counter(dict(terms.space.uniform(terms.uniform_rank)))
    return uniform or Counter({min(terms.costs, key=lambda name: terms.costs[name]): 1})


def _about(options: OPTIONS, terms: Terms, rates: tuple[float, ...]) -> dict[str, Any]:
    pruning, start = plan(options, terms), beginning(terms, options)
    # Of a triplet, λ is trained too.
    peak = parameters(start, {name: cost + 1 for name, cost in terms.costs.items()})
    cubic = pruning.cubic
    return {
        "learning_rates": list(rates),
        "budget_unit": options.budget_unit,
        "peak_parameters": peak,
        "first_ranks": dict(start),
        "schedule": {
            "first": cubic.first,
            "last": cubic.last,
            "warm_steps": cubic.warm,
            "settled_step": cubic.settled,
            "interval_steps": pruning.interval,
        },
    }
