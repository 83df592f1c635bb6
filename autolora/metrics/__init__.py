"""Metrics by torchmetrics' functional names: numbers from what a model answered; one file each.

A file offers `metric(answers)`, a number from `Answers`, and `DIRECTION`, which way is better.
Where a metric needs of each example only numbers that add up, `metric` is a `Summed`.
"""

import sys
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor

from autolora.registry import load
from autolora.training.answers import Answers, Metric

Direction = Literal["maximize", "minimize"]


class Labels(NamedTuple):
    """Predicted and expected labels, and how torchmetrics is told which they are.

    Shapes: both (labels,) of a class each, or (examples, labels) of yes or no.
    """

    predicted: Tensor
    expected: Tensor
    kind: dict[str, Any]


def metrics(names: Iterable[str]) -> dict[str, Metric]:
    """The metrics of some names; "loss" always comes first.

    Raises:
        UnknownName: if there is no metric of that name.

    >>> list(metrics(["accuracy"]))
    ['loss', 'accuracy']
    """
    return {name: _file(name).metric for name in dict.fromkeys(("loss", *names))}


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


def _file(name: str) -> Any:
    return load(sys.modules[__name__], name)
