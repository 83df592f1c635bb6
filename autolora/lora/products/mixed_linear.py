"""Linear layers in a batch whose samples name their adapters."""

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from autolora.lora import fused
from autolora.lora.thin import Segmented
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
    thin, x = Segmented(dtype), route.samples_first(input)
    if route.plain or not fused.possible(base, bias, input):
        out = route.differentiate(x, lambda x: F.linear(x, base, bias), thin)
        return route.swapped(out).contiguous()
    with fused.exactly(input.device.type):
        matrix, bias = base.to(dtype), bias if bias is None else bias.to(dtype)
        x = x.to(dtype).contiguous()
        out = route.multiply(x, lambda x: F.linear(x, matrix, bias), thin)
        return route.swapped(out).contiguous()
