"""Metrics by torchmetrics' functional names: numbers from what a model answered; one file each.

A file offers `metric(answers)`, a number from `Answers`, and `DIRECTION`, which way is better; `OF`
names the kinds of answers that it measures, where it does not measure all.
Where a metric needs of each example only numbers that add up, `metric` is a `Summed`.
"""

import sys
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor

from autolora.errors import MetricDoesNotFit
from autolora.registry import load
from autolora.registry import names as registered
from autolora.training.answers import Answers, Metric

Direction = Literal["maximize", "minimize"]


class Labels(NamedTuple):
    """Predicted and expected labels, and how torchmetrics is told which they are.

    Shapes: both (labels,) of a class each, or (examples, labels) of yes or no; (examples,) of yes
    or no where there is but one label.
    """

    predicted: Tensor
    expected: Tensor
    kind: dict[str, Any]


def metrics(names: Iterable[str], of: str | None = None) -> dict[str, Metric]:
    """The metrics of some names; "loss" always comes first.

    Args:
        names: Names of files here, or dotted names of the user's own modules.
        of: What a model answers with, as `objectives.answers` gives it; None asks nothing.

    Raises:
        UnknownName: if there is no metric of that name.
        MetricDoesNotFit: if one measures other answers than these.

    >>> list(metrics(["accuracy"], of="labels"))
    ['loss', 'accuracy']
    """
    chosen = {name: _file(name) for name in dict.fromkeys(("loss", *names))}
    for name, file in chosen.items():
        if not _fits(file, of):
            here = sys.modules[__name__]
            able = [each for each in registered(here) if _fits(load(here, each), of)]
            raise MetricDoesNotFit(name, file.OF, str(of), able)
    return {name: file.metric for name, file in chosen.items()}


def direction(name: str) -> Direction:
    """Which way the metric of a name is better.

    Raises:
        UnknownName: if there is no metric of that name.

    >>> direction("word_error_rate")
    'minimize'
    """
    return cast(Direction, _file(name).DIRECTION)


def labels(answers: Answers) -> Labels:
    """The labels of answers: of examples, of their tokens one after the other, or several each.

    Raises:
        NoPredictions: if only the loss was asked.
    """
    predicted, expected = answers.compared()
    if isinstance(predicted, list):
        predicted, expected = torch.cat(predicted), torch.cat(expected)
    if predicted.dtype == torch.bool and predicted.shape[1] == 1:
        return Labels(predicted[:, 0].long(), expected[:, 0].long(), {"task": "binary"})
    if predicted.dtype == torch.bool:
        kind = {"task": "multilabel", "num_labels": predicted.shape[1]}
        return Labels(predicted.long(), expected.long(), kind)
    return Labels(predicted, expected, {"task": "multiclass", "num_classes": answers.classes})


def numbers(answers: Answers) -> tuple[Tensor, Tensor]:
    """Predicted and expected numbers of regression, in float64.

    Raises:
        NoPredictions: if only the loss was asked.

    Shapes: each (examples,).
    """
    predicted, expected = answers.compared()
    return predicted.double(), expected.double()


def constant(values: Tensor) -> bool:
    """Whether all values are equal: a correlation with them is not defined."""
    return bool(values.min() == values.max())


def _fits(file: Any, of: str | None) -> bool:
    return of is None or of in getattr(file, "OF", (of,))


def _file(name: str) -> Any:
    return load(sys.modules[__name__], name)
