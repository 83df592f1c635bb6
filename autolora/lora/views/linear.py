"""Linear layers: one matrix each."""

import torch
from torch import nn

from autolora.lora.example import Example
from autolora.lora.views import Block

LAYERS = (nn.Linear, nn.Bilinear)


def blocks(layer: nn.Module, parameter: str) -> tuple[Block, ...]:
    """The whole weight; (out, in1, in2) of a bilinear layer is flattened to (out, in1 · in2)."""
    if parameter != "weight":
        return ()
    kind = "bilinear" if isinstance(layer, nn.Bilinear) else "linear"
    return (Block(None, kind, 0, layer.out_features),)  # type: ignore[arg-type]


class ReadsWeight(nn.Module):
    """A parent that never calls its linear layer and only reads its weight."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Multiplies by the weight of the layer inside."""
        return x @ self.inner.weight.t() + self.inner.bias


class Tied(nn.Module):
    """A vocabulary that is looked up and, transposed, predicted with."""

    def __init__(self) -> None:
        super().__init__()
        self.look_up = nn.Embedding(11, 6)
        self.predict = nn.Linear(6, 11, bias=False)
        self.predict.weight = self.look_up.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Scores of every token."""
        scores: torch.Tensor = self.predict(torch.tanh(self.look_up(tokens)))
        return scores


class Doubled(nn.Linear):
    """A linear layer with a forward of its own, which scales its input."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002
        """Twice the input, multiplied."""
        return super().forward(2 * input)


class CalledTwice(nn.Module):
    """One layer under two names, and its weight in a third."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.second = self.first
        self.third = nn.Linear(6, 6)
        self.third.weight = self.first.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Through all three."""
        out: torch.Tensor = self.third(torch.tanh(self.second(torch.tanh(self.first(x)))))
        return out


EXAMPLES = (
    Example("linear_subclass", lambda: Doubled(7, 5), lambda: (torch.randn(3, 7),)),
    Example("shared", CalledTwice, lambda: (torch.randn(3, 6),)),
    Example("linear", lambda: nn.Linear(7, 5), lambda: (torch.randn(3, 7),)),
    Example("linear_tokens", lambda: nn.Linear(7, 5, bias=False), lambda: (torch.randn(2, 3, 7),)),
    Example("linear_wide", lambda: nn.Linear(64, 48), lambda: (torch.randn(40, 64),)),
    Example(
        "bilinear", lambda: nn.Bilinear(4, 5, 6), lambda: (torch.randn(3, 4), torch.randn(3, 5))
    ),
    Example("only_weight_is_read", ReadsWeight, lambda: (torch.randn(3, 6),)),
    Example("tied", Tied, lambda: (torch.arange(11).view(1, 11),)),
)
