"""How many characters must be changed, put in or taken out, for each that is expected."""

import torch
from torch import Tensor

from autolora.training.answers import Answers, Summed

DIRECTION = "minimize"
OF = ("texts",)


def _changes(answers: Answers) -> Tensor:
    """The changes to each text, and its characters: (texts, 2)."""
    predicted, expected = answers.compared()
    pairs = zip(predicted, expected, strict=True)
    return torch.tensor([_of_text(p, e) for p, e in pairs], dtype=torch.float64)


def _of_text(predicted: str, expected: str) -> tuple[int, int]:
    from torchmetrics.functional.text import char_error_rate

    count = len(expected)
    if count == 0:
        return len(predicted), 0
    return round(char_error_rate(predicted, expected).item() * count), count


def _rate(sums: Tensor) -> Tensor:
    return sums[..., 0] / sums[..., 1].clamp(min=1)  # no text at all: the changes themselves


metric = Summed(_changes, _rate)
