"""Linear layers that store their matrix transposed: transformers' `Conv1D`."""

from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from autolora.lora.example import Example
from autolora.lora.views import Block

# By their names, so that transformers need not be there.
LAYERS = ("transformers.pytorch_utils.Conv1D",)


def blocks(layer: nn.Module, parameter: str) -> tuple[Block, ...]:
    """The weight (in, out), whose rows are the outputs as everywhere."""
    if parameter != "weight":
        return ()
    return (Block(None, "linear", 0, layer.nf, "transposed"),)  # type: ignore[arg-type]


def _conv1d(outputs: int, inputs: int) -> nn.Module:
    layer: nn.Module = import_module("transformers.pytorch_utils").Conv1D(outputs, inputs)
    return layer


class FusedAttention(nn.Module):
    """A layer whose name tells that it packs query, key and value."""

    def __init__(self) -> None:
        super().__init__()
        self.c_attn = _conv1d(18, 6)

    def forward(self, x: Tensor) -> Tensor:
        """What the positions gather."""
        query, key, value = self.c_attn(x).chunk(3, -1)
        out: Tensor = (query @ key.mT).softmax(-1) @ value
        return out


def _example(name: str, model: Any, *shape: int) -> Example:
    return Example(name, model, lambda: (torch.randn(*shape),))


EXAMPLES = (
    _example("transposed_linear", lambda: _conv1d(5, 7), 2, 3, 7),
    _example("fused_attention", FusedAttention, 2, 4, 6),
)
