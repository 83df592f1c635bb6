"""Strategies by name: how a budget of compute is spent; one file each.

There are two kinds. One proposes trials, each trained from its start: it offers `arms`, what is in
the race before the sampler proposes anything, and `SAMPLES`, whether it proposes. The other does
its own work, many runs that build on each other: it offers `OPTIONS`, `account` and `search`, and
its whole work is one trial.
"""

from types import ModuleType
from typing import Any, Protocol, TypeGuard

from autolora.space.read import Strict
from autolora.space.space import Space
from autolora.spending import Found, Stage, Work
from autolora.spending.opening import Arm, Baselines
from autolora.spending.work import Terms


class Proposes(Protocol):
    """A strategy of trials."""

    SAMPLES: bool

    def arms(
        self, space: Space, baselines: Baselines, budget_parameters: int | None
    ) -> tuple[Arm, ...]:
        """The arms that open the race."""


class Works(Protocol):
    """A strategy that does its own work."""

    OPTIONS: type[Strict]

    def account(self, options: Any, terms: Terms) -> tuple[Stage, ...]:
        """What each stage will cost at most, before anything starts."""

    def search(self, options: Any, work: Work) -> Found:
        """Spends the allowance and hands back the best adapter within the budget.

        Raises:
            AllowanceTooSmall: if it cannot hold what the strategy needs at least.
            NoRateConverged: if every learning rate diverges.
        """


def works(strategy: ModuleType) -> TypeGuard[Any]:
    """Whether a strategy does its own work, rather than proposing trials."""
    return hasattr(strategy, "search")
