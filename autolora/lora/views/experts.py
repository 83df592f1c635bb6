"""Experts of a mixture, stacked in one parameter (experts, rows, columns)."""

import torch
from torch import Tensor, nn

from autolora.lora.example import Example
from autolora.lora.views import Block

LAYERS = ()


def blocks(layer: nn.Module, parameter: str) -> tuple[Block, ...]:
    """None: these layers are known by their shape, not by their class."""
    del layer, parameter
    return ()


def by_shape(layer: nn.Module, parameter: str) -> tuple[Block, ...]:
    """One block an expert; two where gate and up are packed below each other.

    A stack is known by its layer's `num_experts`, as in transformers.
    """
    value = layer._parameters[parameter]
    if value is None or value.ndim != 3 or getattr(layer, "num_experts", None) != len(value):
        return ()
    rows = value.shape[1]
    upright = getattr(layer, "is_concatenated", True) and not getattr(layer, "is_transposed", False)
    halves = ("gate", "up") if parameter == "gate_up_proj" and upright and rows % 2 == 0 else ("",)
    size = rows // len(halves)
    return tuple(
        Block(f"{number}-{half}".rstrip("-"), "expert", number * rows + i * size, size, "stacked")
        for number in range(len(value))
        for i, half in enumerate(halves)
    )


class Mixture(nn.Module):
    """Experts stacked and chosen by index, gate and up packed."""

    def __init__(self) -> None:
        super().__init__()
        self.num_experts = 3
        self.gate_up_proj = nn.Parameter(torch.randn(3, 10, 6))
        self.down_proj = nn.Parameter(torch.randn(3, 6, 5))

    def forward(self, x: Tensor, chosen: Tensor) -> Tensor:
        """Each row through its expert."""
        out = torch.zeros_like(x)
        for expert in range(self.num_experts):
            rows = x[chosen == expert]
            gate, up = nn.functional.linear(rows, self.gate_up_proj[expert]).chunk(2, -1)
            mixed = nn.functional.linear(torch.tanh(gate) * up, self.down_proj[expert])
            out = out.index_put((chosen == expert,), mixed.to(out.dtype))
        return out


class Multiplied(nn.Module):
    """All experts at once, by a batched product over the whole parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.num_experts = 3
        self.weight = nn.Parameter(torch.randn(3, 6, 5))

    def forward(self, x: Tensor) -> Tensor:
        """Every expert's answer."""
        return torch.bmm(x, self.weight)


EXAMPLES = (
    Example("experts", Mixture, lambda: (torch.randn(7, 6), torch.tensor([0, 1, 2, 0, 1, 2, 2]))),
    Example("experts_at_once", Multiplied, lambda: (torch.randn(3, 4, 6),)),
)
