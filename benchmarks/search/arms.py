"""The arms of the search benchmark: every strategy, and the controls that kill rank papers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import optuna

from autolora import samplers, strategies
from autolora.errors import Diverged
from autolora.lora.allocation import Allocation
from autolora.registry import load
from autolora.spending import Found, Work
from autolora.spending.rates import best_of_rates, learning_rates
from autolora.study.race import suggest

RATES = 3  # of every arm that sweeps


@dataclass(frozen=True)
class Arm:
    """One line of the table.

    Attributes:
        name: As it stands in the table.
        strategy: One of ours; None for the controls.
        options: Of the strategy.
        ft: What it may spend.
    """

    name: str
    strategy: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    ft: float = 2.0

    def run(self, work: Work) -> Found:
        """Runs the arm at a seed."""
        if self.strategy is None:
            return CONTROLS[self.name](work)
        case = load(strategies, self.strategy)
        found: Found = case.search(case.OPTIONS(**self.options), work)
        return found


def uniform(work: Work, *, rates: int = RATES, longer: int = 1) -> Found:
    """The largest uniform rank of the budget, at its best learning rate."""
    terms = work.terms
    allocation = terms.space.uniform(terms.uniform_rank)
    settings = terms.settings.model_copy(update={"steps": longer * terms.settings.steps})

    def fit(rate: float) -> Any:
        return work.fit("fine-tune", allocation, rate, settings=settings)

    rate, best = best_of_rates(fit, learning_rates(terms.space, rates))
    return Found.of(best, rate, tuple(work.ledger))


def head_only(work: Work) -> Found:
    """No adapter at all."""
    fit = partial(work.fit, "head", Allocation())
    rate, best = best_of_rates(fit, learning_rates(work.terms.space, RATES))
    return Found.of(best, rate, tuple(work.ledger))


def sampled(work: Work, *, sampler: str, trials: int) -> Found:
    """Full fine-tunes of what a sampler proposes, without pruning."""
    space, budget = work.terms.space, work.terms.parameters
    options = {"startup_trials": 4} if sampler == "tpe" else {}
    made = load(samplers, sampler).sampler(
        space.distributions, seed=work.seed, constrained=False, **options
    )
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=made)
    best: tuple[float, Any] | None = None
    for _ in range(trials):
        trial = study.ask()
        proposal = space.proposal(suggest(trial, space.distributions), budget)
        try:
            fit = work.fit("trial", proposal.allocation, proposal.learning_rate)
        except Diverged:  # the run counts as if it had gone to its end
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        study.tell(trial, fit.loss)
        if best is None or fit.loss < best[1].loss:
            best = (proposal.learning_rate, fit)
    assert best is not None
    return Found.of(best[1], best[0], tuple(work.ledger))


CONTROLS: dict[str, Callable[[Work], Found]] = {
    "head only": head_only,
    "uniform": uniform,
    "uniform, twice as long": partial(uniform, longer=2),
    "uniform, six rates": partial(uniform, rates=2 * RATES),
    "TPE, 10 FT": partial(sampled, sampler="tpe", trials=10),
    "random search, 10 FT": partial(sampled, sampler="random", trials=10),
}
ARMS = {
    arm.name: arm
    for arm in (
        *(Arm(name, ft=10.0) for name in CONTROLS),
        Arm("nest", "nest"),
        Arm("quick", "quick", ft=1.1),
        Arm("uniform, warm from the same run", "nest", {"candidates": 0}),
        Arm("nest, no gate", "nest", {"gate": False}),
        Arm("nest, no race", "nest", {"race": False}),
        Arm("nest, no search", "nest", {"search": False}),
        Arm("nest, no warm start", "nest", {"warm": False}),
        Arm("nest, no shrinkage", "nest", {"trusts": (1.0,)}),
        Arm("nest, prefixes", "nest", {"nesting": "prefixes"}),
        Arm("nest, weighted", "nest", {"nesting": "weighted"}),
        Arm("adalora", "adalora", ft=3.2),
        Arm("eva", "eva", ft=3.2),
        Arm("gora", "gora", ft=3.5),
        Arm("energy (PARA)", "energy", ft=3.2),
        Arm("dylora", "dylora", ft=3.2),
        Arm("random, best of 4", "random", ft=12.5),
        Arm("structured", "structured"),
    )
}
