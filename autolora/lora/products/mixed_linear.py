"""Linear layers in a batch whose samples name their adapters."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from autolora.lora import fused
from autolora.lora.route import Part, dropped
from autolora.lora.weight import AdaptedWeight, product


@product(F.linear, mixed=True)
def linear(input: Any, weight: Any, bias: Any = None) -> Any:  # noqa: A002
    """The base times all samples, plus each sample's delta times it.

    Shapes: input (samples, …, columns); weight (rows, columns); result (samples, …, rows).
    """
    if not isinstance(weight, AdaptedWeight) or not isinstance(input, Tensor):
        return NotImplemented
    if weight.delta.route is None or weight.delta.layout != "flat":
        return NotImplemented
    route, base, dtype = weight.delta.route, weight.base, fused.dtype_of(input)
    thin, x = _Linear(weight.delta.rows, dtype), route.samples_first(input)
    if route.plain or not fused.possible(base, bias, input):
        out = route.differentiate(x, lambda x: F.linear(x, base, bias), thin)
        return route.swapped(out).contiguous()
    with fused.exactly(input.device.type):
        matrix, bias = base.to(dtype), bias if bias is None else bias.to(dtype)
        x = x.to(dtype).contiguous()
        out = route.multiply(x, lambda x: F.linear(x, matrix, bias), thin, flat=True)
        return route.swapped(out).contiguous()


class _Linear:
    def __init__(self, rows: int, dtype: torch.dtype) -> None:
        self.rows = rows
        self.dtype = dtype

    def add(self, out: Tensor, x: Tensor, first: int, part: Part) -> None:
        up, down = part.up, part.down
        if up.dtype != self.dtype:
            up, down = up.to(self.dtype), down.to(self.dtype)
        if part.rows != self.rows:
            out = out[:, first : first + part.rows]
        out.addmm_(F.linear(x, down), up.t(), alpha=part.scale)

    def delta(self, x: Tensor, first: int, part: Part) -> Tensor:
        up, down = part.up.to(self.dtype), part.down.to(self.dtype)
        added = F.linear(F.linear(dropped(x, part).to(self.dtype), down * part.scale), up)
        below = self.rows - first - part.rows
        return F.pad(added, (first, below)) if first or below else added
