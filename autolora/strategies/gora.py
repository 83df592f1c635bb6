"""GoRA-like: ranks from |weight · gradient| before training, `up` from the gradient itself."""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from autolora.lora.allocation import Allocation
from autolora.lora.attach import Attached
from autolora.lora.low_rank import LowRank
from autolora.nested.base import sampled
from autolora.nested.full_gradients import Gradients, full_gradients
from autolora.nested.started import Starts, starting_from
from autolora.space.read import Strict
from autolora.spending import Found, Stage, Work
from autolora.spending.effort import rates_within
from autolora.spending.filling import average_rank, most_ranks, parameters, topped_up
from autolora.spending.rates import best_of_rates
from autolora.spending.work import Terms
from autolora.training.treatment import Plain

_NAME, _GRADIENTS, _RUN = "gora", "gradients of whole weights", "gora"
_HALVINGS = 60


class OPTIONS(Strict):
    """How the gradient decides.

    It is the mean over `batches` batches, or over one pass of the training data where that has
    fewer. Ranks lie between `lowest` and `highest` times the budget's average rank, but for what
    fills the parameters in the end. `start` "gradient" lets the adapter begin as one step down
    that gradient, of length `step`, as far as the random `down` holds it; "zero" begins at the
    base.
    """

    learning_rates: int = Field(default=3, ge=1, le=20)
    batches: int = Field(default=64, ge=1)
    lowest: float = Field(default=0.5, ge=0, le=1)
    highest: float = Field(default=4.0, ge=1)
    start: Literal["gradient", "zero"] = "gradient"
    step: float = Field(default=0.05, gt=0)


def account(options: OPTIONS, terms: Terms) -> tuple[Stage, ...]:
    """The gradients, and one fine-tune for each learning rate.

    Raises:
        AllowanceTooSmall: if it does not hold them and one rate.
    """
    count = len(_rates(options, terms))
    return Stage(_GRADIENTS, _passes(options, terms)), Stage(_RUN, count * terms.fine_tune)


def search(options: OPTIONS, work: Work) -> Found:
    """Takes gradients, allocates, trains at every learning rate and hands back the best.

    Raises:
        AllowanceTooSmall: if the allowance does not hold the gradients and one rate.
        NoRateConverged: if every learning rate diverges.
    """
    terms, rates = work.terms, _rates(options, work.terms)
    slopes = _Slopes(work, options)
    scores = dict(work.once(_GRADIENTS, slopes.scored, options.batches))
    ranks = allocated(scores, options, terms)
    treats = starting_from(slopes.starts) if options.start == "gradient" else Plain
    start = Allocation(ranks)
    told = options.model_dump(mode="json")
    rate, fit = best_of_rates(
        lambda each: work.fit(_RUN, start, each, treats=treats, about=told), rates
    )
    about = {"learning_rates": list(rates), "scores": scores, "ranks": dict(start)}
    return Found.of(fit, rate, tuple(work.ledger), **about)


class _Slopes:
    """The gradients of a work, taken when they are first asked for."""

    def __init__(self, work: Work, options: OPTIONS) -> None:
        self._work, self._options = work, options

    @cached_property
    def taken(self) -> Gradients:
        """Of all targets."""
        count = sampled(self._work.terms, self._options.batches)[0]
        return full_gradients(self._work, self._work.terms.space.targets, count)

    def scored(self) -> tuple[Mapping[str, float], int]:
        """The importance of every target, and what it cost."""
        return importance(self.taken.weights, self.taken.gradients), self.taken.example_passes

    def starts(self, attached: Attached) -> Starts:
        """Factors that hold one step down the gradient."""
        return {
            name: (self._up(name, part), part.down.detach())
            for name, part in attached.factors.items()
        }

    def _up(self, name: str, part: LowRank) -> Tensor:
        gradient = self.taken.gradients[name]
        return compressed(gradient, part.down, self._options.step, part.scale)


def importance(weights: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> dict[str, float]:
    """The mean of |weight · gradient| over a matrix.

    Source: He et al. 2025 (GoRA), equation of I(W).
    """
    return {n: float((weights[n].double() * g.double()).abs().mean()) for n, g in gradients.items()}


@torch.no_grad()
def compressed(gradient: Tensor, down: Tensor, step: float, scale: float) -> Tensor:
    """The `up` with which scale · up · down is a step down the gradient, projected onto `down`.

    up = - step · √(columns / rank) / scale · gradient · down⁺: a random `down` holds about
    rank / columns of the gradient's energy, so the delta is about as long as the step.

    Shapes: gradient (rows, columns); down (rank, columns); result (rows, rank).
    Source: He et al. 2025 (GoRA), section on initialisation, and the authors' code.
    """
    factor = -step * math.sqrt(down.shape[1] / down.shape[0]) / scale
    inverse: Tensor = torch.linalg.pinv(down.double().cpu())
    return (factor * (gradient.double() @ inverse)).to(down)


def allocated(scores: Mapping[str, float], options: OPTIONS, terms: Terms) -> dict[str, int]:
    """Ranks in proportion to importance / √(rows + columns), between two bounds.

    The paper's total keeps Σ √(rows + columns) · rank; here it is the largest with which the
    parameters hold, and what whole ranks leave over goes to those that were rounded down most.

    Source: He et al. 2025 (GoRA), the rule of ranks.
    """
    costs, most, average = terms.costs, most_ranks(terms), average_rank(terms)
    total = sum(scores.values()) or 1.0
    wished = {n: scores[n] / total / math.sqrt(costs[n]) for n in costs}
    low, high = int(options.lowest * average), max(1, math.ceil(options.highest * average))

    def at(factor: float) -> dict[str, int]:
        return {n: min(most[n], max(low, min(high, round(factor * wished[n])))) for n in costs}

    least, largest = 0.0, (high + 1) / min((w for w in wished.values() if w), default=1.0)
    for _ in range(_HALVINGS):
        middle = (least + largest) / 2
        if parameters(at(middle), costs) <= terms.parameters:
            least = middle
        else:
            largest = middle
    ranks = at(least)
    order = sorted(costs, key=lambda n: (ranks[n] - least * wished[n], n))
    return topped_up(ranks, order, terms)


def _passes(options: OPTIONS, terms: Terms) -> int:
    return 2 * sampled(terms, options.batches)[1]


def _rates(options: OPTIONS, terms: Terms) -> tuple[float, ...]:
    before = _passes(options, terms)
    return rates_within(_NAME, terms, options.learning_rates, terms.fine_tune, before)
