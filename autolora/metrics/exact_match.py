"""The share of examples that are right as a whole: every label, every token, the whole text."""

import torch
from torch import Tensor

from autolora.training.answers import Answers, Summed, ratio

DIRECTION = "maximize"
OF = ("labels", "pixels", "texts")


def _right(answers: Answers) -> Tensor:
    predicted, expected = answers.compared()
    right = [_equal(p, e) for p, e in zip(predicted, expected, strict=True)]
    hits = torch.tensor(right, dtype=torch.float64)
    return torch.stack((hits, torch.ones_like(hits)), 1)


def _equal(predicted: Tensor | str, expected: Tensor | str) -> bool:
    if isinstance(predicted, Tensor) and isinstance(expected, Tensor):
        return torch.equal(predicted, expected)
    return predicted == expected


metric = Summed(_right, ratio)
