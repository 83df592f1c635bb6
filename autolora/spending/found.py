"""What a strategy hands back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autolora.artifacts.adapter import Adapter
from autolora.spending.stage import Stage
from autolora.training.curve import CurvePoint
from autolora.training.fit import Fit


@dataclass(frozen=True)
class Found:
    """The best adapter of a strategy within its budgets.

    Attributes:
        adapter: It keeps the budget of parameters.
        loss: On the validation split, in nats.
        metrics: All metrics there.
        learning_rate: The peak rate of the run that it comes from.
        curve: The evaluations of that run.
        ledger: What each stage cost, in order.
        about: What led to it, as plain data: scores, candidates, decisions.
    """

    adapter: Adapter
    loss: float
    metrics: Mapping[str, float]
    learning_rate: float
    curve: tuple[CurvePoint, ...]
    ledger: tuple[Stage, ...]
    about: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, fit: Fit, learning_rate: float, ledger: tuple[Stage, ...], **about: Any) -> "Found":
        """What a run gives."""
        return cls(fit.adapter, fit.loss, fit.metrics, learning_rate, fit.curve, ledger, about)

    @property
    def example_passes(self) -> int:
        """What all stages cost."""
        return sum(stage.example_passes for stage in self.ledger)
