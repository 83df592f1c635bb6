"""Work that remembers what it had at any moment."""

from dataclasses import dataclass, field
from typing import Any

from autolora.spending import Work
from autolora.training.fit import Fit


@dataclass
class Traced(Work):
    """Notes every evaluation of an adapter that keeps the budget of parameters.

    Attributes:
        seen: Example-passes spent by then, and the loss on the validation split, in nats.
    """

    seen: list[tuple[int, float]] = field(default_factory=list)

    def fit(self, *args: Any, **options: Any) -> Fit:
        """Trains as `Work` does."""
        found = super().fit(*args, **options)
        if found.adapter.parameters <= self.terms.parameters:
            cost = self.ledger[-1].example_passes
            before, steps = self.spent - cost, found.curve[-1].step
            self.seen += [(before + cost * p.step // steps, p.valid_loss) for p in found.curve]
        return found

    def best_so_far(self) -> list[tuple[float, float]]:
        """Where the best loss fell: FT spent by then, and the loss."""
        steps: list[tuple[float, float]] = []
        for passes, loss in self.seen:
            if not steps or loss < steps[-1][1]:
                steps.append((passes / self.terms.fine_tune, loss))
        return steps
