"""DyLoRA: one run trains every prefix of the ranks; the prefix that fits the budget is kept."""

import math
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from autolora.lora.allocation import Allocation
from autolora.lora.attach import Attached
from autolora.nested.chosen import chosen
from autolora.nested.global_prefix import GlobalPrefix, Prefixed
from autolora.space.read import Strict
from autolora.spending import Found, Stage, Work
from autolora.spending.effort import rates_within
from autolora.spending.filling import average_rank, most_ranks, topped_up
from autolora.spending.rates import best_of_rates
from autolora.spending.work import Terms

_NAME = "dylora"


class OPTIONS(Strict):
    """How high it trains, and what a step trains of its prefix.

    The highest rank is `factor` times the budget's average rank. `gradient` "last" trains the last
    rank of a prefix alone, as the paper offers; "prefix" all of it.
    """

    learning_rates: int = Field(default=3, ge=1, le=20)
    factor: float = Field(default=2.0, ge=1, le=64)
    gradient: Literal["prefix", "last"] = "prefix"


def account(options: OPTIONS, terms: Terms) -> tuple[Stage, ...]:
    """One fine-tune for each learning rate.

    Raises:
        AllowanceTooSmall: if it does not hold one.
    """
    rates = rates_within(_NAME, terms, options.learning_rates, terms.fine_tune)
    return (Stage(_NAME, len(rates) * terms.fine_tune),)


def search(options: OPTIONS, work: Work) -> Found:
    """Trains at every learning rate and hands back the best prefix that fits.

    Raises:
        AllowanceTooSmall: if the allowance does not hold one.
        NoRateConverged: if every learning rate diverges.
    """
    terms = work.terms
    rates = rates_within(_NAME, terms, options.learning_rates, terms.fine_tune)
    kept, start = prefix(terms), high(options, terms)
    rule = terms.space.fixed(start, rates[0]).scale
    prefixed = Prefixed(rule, kept, options.gradient)

    def treats(attached: Attached, seed: int) -> GlobalPrefix:
        return GlobalPrefix(attached, seed, prefixed)

    told = options.model_dump(mode="json")
    rate, fit = best_of_rates(
        lambda each: work.fit(_NAME, start, each, treats=treats, about=told), rates
    )
    adapter = chosen(fit.adapter, {name: range(rank) for name, rank in kept.items()})
    about: dict[str, Any] = {
        "learning_rates": list(rates),
        "peak_parameters": start.parameters(terms.space.targets),
        "highest_rank": max(start.values()),
        "prefix": terms.uniform_rank,
        "ranks": dict(adapter.allocation),
    }
    return Found.of(replace(fit, adapter=adapter), rate, tuple(work.ledger), **about)


def prefix(terms: Terms) -> dict[str, int]:
    """The uniform rank of the budget, and one rank more where that still fits, in their order."""
    rank = terms.uniform_rank
    uniform = {name: min(rank, most) for name, most in most_ranks(terms).items()}
    return topped_up(uniform, list(terms.costs), terms)


def high(options: OPTIONS, terms: Terms) -> Allocation:
    """The ranks that are trained, rounded up; at least those that are kept."""
    rank = math.ceil(options.factor * average_rank(terms))
    kept, most = prefix(terms), most_ranks(terms)
    return Allocation({name: max(min(rank, most[name]), kept[name]) for name in most})
