"""What a model is worth on a split, and how sure that is."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from autolora.training.modes import evaluating
from autolora.training.task import Split, Task

_RESAMPLES = 1000
_DRAWS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Measured:
    """The mean of a metric over a split; low and high bound it at 95 %."""

    value: float
    low: float
    high: float


def evaluate(model: nn.Module, task: Task, split: Split) -> dict[str, Measured]:
    """Every metric of a task on a split, with bootstrap intervals over its examples."""
    return {
        name: measured(v.double().numpy()) for name, v in per_example(model, task, split).items()
    }


def per_example(model: nn.Module, task: Task, split: Split) -> Mapping[str, Tensor]:
    """Every metric of every example, from a model in evaluation mode; its modes are restored."""
    with evaluating(model):
        return task.per_example(model, split)


def means(values: Mapping[str, Tensor]) -> dict[str, float]:
    """The mean of every metric."""
    return {name: value.double().mean().item() for name, value in values.items()}


def measured(values: NDArray[np.float64], *, seed: int = 0) -> Measured:
    """A mean with its percentile bootstrap interval.

    Source: Efron & Tibshirani 1993, chapter 13.

    >>> measured(np.array([1.0, 1.0, 1.0]))
    Measured(value=1.0, low=1.0, high=1.0)
    """
    generator = np.random.default_rng(seed)
    rows = max(1, _DRAWS_AT_ONCE // len(values))
    resampled = np.concatenate(
        [
            values[generator.integers(len(values), size=(min(rows, left), len(values)))].mean(1)
            for left in range(_RESAMPLES, 0, -rows)
        ]
    )
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Measured(float(values.mean()), float(low), float(high))
