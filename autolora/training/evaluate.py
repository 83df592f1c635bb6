"""What a model is worth on a split, and how sure that is."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from autolora.errors import NoPredictions
from autolora.training.answers import Answers, Metric, Summed
from autolora.training.batch import Batch
from autolora.training.device import moved
from autolora.training.modes import evaluating
from autolora.training.task import Split, Task

Around = Callable[[Any], AbstractContextManager[Any]]

_RESAMPLES = 300
_RESAMPLES_OF_SUMS = 1000
_DRAWS_AT_ONCE = 4_000_000


def nothing_around(batch: Any) -> AbstractContextManager[Any]:
    """A batch goes through the model as it is."""
    del batch
    return nullcontext()


@dataclass(frozen=True)
class Passing:
    """How the batches of a split go through a model.

    `around` gives a context for each; `parts` says how much smaller they are than usual.
    """

    around: Around = nothing_around
    parts: int = 1


@dataclass(frozen=True)
class Measured:
    """A metric of a split; low and high bound it at 95 %."""

    value: float
    low: float
    high: float


def evaluate(
    model: nn.Module, task: Task, split: Split, *, passing: Passing | None = None
) -> dict[str, Measured]:
    """Every metric of a task on a split, with bootstrap intervals over its examples.

    Raises:
        NoPredictions: if a metric needs predictions and the task gives none.
    """
    answers = answered(model, task, split, final=True, passing=passing)
    return {name: measured(metric, answers) for name, metric in task.metrics.items()}


def values(metrics: Mapping[str, Metric], answers: Answers) -> dict[str, float]:
    """Every metric of some answers, but for those that need predictions where there are none."""
    found = {}
    for name, metric in metrics.items():
        with suppress(NoPredictions):
            found[name] = metric(answers)
    return found


def measured(metric: Metric, answers: Answers, *, seed: int = 0) -> Measured:
    """A metric with its percentile bootstrap interval; resamples without a value are left out.

    Source: Efron & Tibshirani 1993, chapter 13.

    >>> from autolora.training.answers import loss
    >>> measured(loss, Answers(torch.ones(3).double(), torch.ones(3).double()))
    Measured(value=1.0, low=1.0, high=1.0)
    """
    generator = torch.Generator().manual_seed(seed)
    resampled = _resampled(metric, answers, generator)
    low, high = resampled.nanquantile(torch.tensor((0.025, 0.975)).double()).tolist()
    return Measured(metric(answers), low, high)


def answered(
    model: nn.Module, task: Task, split: Split, *, final: bool, passing: Passing | None = None
) -> Answers:
    """The answers of a model in evaluation mode; its modes are restored."""
    passing = passing or Passing()
    device = next(model.parameters()).device
    parts, order = [], []
    with evaluating(model):
        size = max(1, task.evaluation_batch // passing.parts)
        for batch in task.batches(split, batch_size=size):
            with passing.around(batch):
                parts.append(task.answer(model, moved(batch, device), final=final))
            if isinstance(batch, Batch):
                order.append(batch.examples)
    return Answers.joined(parts, torch.cat(order) if order else None)


def _resampled(metric: Metric, answers: Answers, generator: torch.Generator) -> Tensor:
    """The metric of resamples, drawn with replacement: (resamples,)."""
    count = len(answers.losses)
    if isinstance(metric, Summed):
        numbers = metric.numbers(answers)
        draws = _draws(count, _RESAMPLES_OF_SUMS, generator)
        return torch.cat([metric.value(_sums(numbers, drawn)) for drawn in draws])
    draws = _draws(count, _RESAMPLES, generator)
    taken = (answers.take(indices) for drawn in draws for indices in drawn)
    return torch.tensor([metric(each) for each in taken], dtype=torch.float64)


def _draws(count: int, resamples: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Indices of resamples, some at once: (some, count)."""
    rows = max(1, _DRAWS_AT_ONCE // count)
    for left in range(resamples, 0, -rows):
        yield torch.randint(count, (min(rows, left), count), generator=generator)


def _sums(numbers: Tensor, drawn: Tensor) -> Tensor:
    """The sums over each resample: every example as often as it was drawn."""
    often = torch.zeros(drawn.shape, dtype=numbers.dtype)
    often.scatter_add_(1, drawn, torch.ones((), dtype=numbers.dtype).expand_as(drawn))
    return often @ numbers
