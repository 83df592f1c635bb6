"""W x + b + up (down x): the product of `nn.Linear` and everything built on it."""

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from autolora.lora.weight import AdaptedWeight, product


@product(F.linear)
def linear(input: Any, weight: Any, bias: Any = None) -> Any:  # noqa: A002
    """Multiplies by base and delta apart.

    Shapes: input (…, columns); weight (rows, columns); result (…, rows).
    Source: Hu et al. 2021, equation 3.
    """
    if not isinstance(weight, AdaptedWeight) or not isinstance(input, Tensor):
        return NotImplemented
    dropout = weight.delta.dropout
    if dropout is None or not weight.apart(input.numel(), input.numel() // input.shape[-1]):
        return NotImplemented
    up, down = weight.delta.factors(input.dtype)
    through = F.dropout(input, dropout) if dropout else input
    return F.linear(input, weight.base, bias) + F.linear(F.linear(through, down), up)
