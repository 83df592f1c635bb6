"""Random allocations at equal parameters: what any search has to beat."""

from functools import partial
from statistics import fmean

import torch
from pydantic import Field

from autolora.lora.allocation import Allocation
from autolora.space.read import Strict
from autolora.spending import Found, Stage, Work
from autolora.spending.effort import rates_within
from autolora.spending.filling import most_ranks, topped_up
from autolora.spending.rates import best_of_rates
from autolora.spending.work import Terms
from autolora.training.seeds import derived

_NAME, _STAGE = "random", "random allocations"
_DRAW = 17  # the purpose of a derived seed


class OPTIONS(Strict):
    """How many allocations are drawn, and how many learning rates each of them gets."""

    learning_rates: int = Field(default=3, ge=1, le=20)
    allocations: int = Field(default=4, ge=1, le=1000)


def account(options: OPTIONS, terms: Terms) -> tuple[Stage, ...]:
    """One fine-tune for each learning rate of each allocation.

    An allowance that does not hold them all holds fewer allocations, then fewer rates.

    Raises:
        AllowanceTooSmall: if it does not hold a single run.
    """
    rates = rates_within(_NAME, terms, options.learning_rates, terms.fine_tune)
    return (Stage(_STAGE, _allocations(options, terms) * len(rates) * terms.fine_tune),)


def search(options: OPTIONS, work: Work) -> Found:
    """Trains every allocation at every rate; hands back the best.

    Raises:
        AllowanceTooSmall: if the allowance does not hold a single run.
        NoRateConverged: if every learning rate of an allocation diverges.
    """
    terms = work.terms
    rates = rates_within(_NAME, terms, options.learning_rates, terms.fine_tune)
    drawn = [draw(terms, work.seed, i) for i in range(_allocations(options, terms))]
    runs = [best_of_rates(partial(work.fit, _STAGE, each), rates) for each in drawn]
    losses = [fit.loss for _, fit in runs]
    rate, fit = min(runs, key=lambda run: run[1].loss)
    about = {
        "learning_rates": list(rates),
        "allocations": [dict(allocation) for allocation in drawn],
        "losses": losses,
        "mean_loss": fmean(losses),
        "best_loss": min(losses),
        "ranks": dict(fit.adapter.allocation),
    }
    return Found.of(fit, rate, tuple(work.ledger), **about)


def draw(terms: Terms, seed: int, number: int) -> Allocation:
    """An allocation whose shares of the parameters are uniform on the simplex.

    What whole ranks leave over is filled one rank at a time, in a random order of targets.
    Source: Devroye 1986, chapter XI.4: exponential numbers by their sum are uniform there.
    """
    generator = torch.Generator().manual_seed(derived(seed, _DRAW, number))
    costs, most = terms.costs, most_ranks(terms)
    names = list(costs)
    weights = torch.empty(len(names), dtype=torch.float64).exponential_(generator=generator)
    shares = (weights / weights.sum() * terms.parameters).tolist()
    ranks = {n: min(int(s // costs[n]), most[n]) for n, s in zip(names, shares, strict=True)}
    order = [names[i] for i in torch.randperm(len(names), generator=generator).tolist()]
    return Allocation(topped_up(ranks, order, terms))


def _allocations(options: OPTIONS, terms: Terms) -> int:
    each = options.learning_rates * terms.fine_tune
    return max(1, min(options.allocations, terms.allowance // each))
