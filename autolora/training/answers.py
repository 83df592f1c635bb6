"""What a model answers to a split: all that metrics are computed from."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from autolora.errors import NoPredictions


@dataclass(frozen=True)
class Answers:
    """One entry for every example of a split, on the CPU, in the order of the split.

    Attributes:
        losses: In nats.
        weights: How much each loss counts in the mean.
        predicted: What the model answered: a tensor with the examples along its first dimension,
            or a list with one tensor or one text an example; None where only the loss was asked.
        expected: What would be right, in the same form.
        classes: How many classes there are, where there are classes.

    Shapes: losses, weights (examples,) of float64.
    """

    losses: Tensor
    weights: Tensor
    predicted: Any = None
    expected: Any = None
    classes: int | None = None

    def compared(self) -> tuple[Any, Any]:
        """What was predicted and what would be right.

        Raises:
            NoPredictions: if only the loss was asked.
        """
        if self.predicted is None:
            raise NoPredictions
        return self.predicted, self.expected

    def take(self, indices: Tensor) -> "Answers":
        """The answers to some examples, repeated where an index is repeated."""
        return Answers(
            self.losses[indices],
            self.weights[indices],
            _taken(self.predicted, indices),
            _taken(self.expected, indices),
            self.classes,
        )

    @classmethod
    def joined(cls, parts: Iterable["Answers"], order: Tensor | None) -> "Answers":
        """The answers of batches as one, sorted by `order`: the position of each in the split."""
        each = list(parts)
        every = cls(
            torch.cat([part.losses for part in each]),
            torch.cat([part.weights for part in each]),
            _joined([part.predicted for part in each]),
            _joined([part.expected for part in each]),
            each[0].classes,
        )
        return every if order is None else every.take(order.argsort())


class Metric(Protocol):
    """A number from answers; a file of `autolora/metrics/` each.

    It takes predictions from `Answers.compared`, so that it is left out where there are none.
    """

    def __call__(self, answers: Answers) -> float:
        """The metric of a split."""


@dataclass(frozen=True)
class Summed:
    """A metric that needs of each example only numbers that add up, so its interval is cheap.

    Attributes:
        numbers: What each example adds: (examples, numbers) of float64.
        value: The metric of the sums: (..., numbers) to (...).
    """

    numbers: Callable[[Answers], Tensor]
    value: Callable[[Tensor], Tensor]

    def __call__(self, answers: Answers) -> float:
        """The metric of a split."""
        return self.value(self.numbers(answers).sum(0)).item()


def weighted_losses(answers: Answers) -> Tensor:
    """The loss of each example times its weight, and its weight: (examples, 2)."""
    return torch.stack((answers.losses * answers.weights, answers.weights), 1)


def ratio(sums: Tensor) -> Tensor:
    """The first sum over the second: (..., 2) to (...)."""
    return sums[..., 0] / sums[..., 1]


loss = Summed(weighted_losses, ratio)  # the mean loss, in nats


def _taken(values: Any, indices: Tensor) -> Any:
    if values is None or isinstance(values, Tensor):
        return None if values is None else values[indices]
    return [values[index] for index in indices.tolist()]


def _joined(parts: Sequence[Any]) -> Any:
    if parts[0] is None or isinstance(parts[0], Tensor):
        return None if parts[0] is None else torch.cat(list(parts))
    return [value for part in parts for value in part]
