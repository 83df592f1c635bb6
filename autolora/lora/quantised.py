"""Quantised weights that torch can multiply by: tensor subclasses such as torchao's.

They are known by what they can do, not by their library: they give their values back, and
`F.linear` takes them. See docs/decisions/0008.
"""

from typing import Any

from torch import Tensor
from torch.nn import Parameter

_PLAIN = Tensor, Parameter
_NO_GRADIENT = (
    "its inputs are quantised too, and no gradient passes that",
    "quantise weights only (Int8WeightOnlyConfig, say)",
)
# What torchao's subclasses name what they do to inputs, and why a delta cannot stand beside it.
_OBSTACLES = {
    "act_quant_kwargs": _NO_GRADIENT,
    "activation_quantization": _NO_GRADIENT,
    "act_pre_scale": (
        "it scales its inputs too, so that its values are not what it multiplies by",
        "quantise it without AWQ or SmoothQuant",
    ),
}


def is_quantised(value: Tensor) -> bool:
    """Whether a weight is a tensor subclass that holds fewer bits than its values have."""
    kind: Any = type(value)
    if kind in _PLAIN:  # the common case, asked at every product
        return False
    return hasattr(kind, "get_original_weight") or kind.dequantize is not Tensor.dequantize


def plain(value: Tensor) -> Tensor:
    """The values of a weight in its type of number; the weight itself if it is a plain tensor.

    Shapes: those of the weight.
    """
    if not is_quantised(value):
        return value
    subclass: Any = value
    old = getattr(subclass, "get_original_weight", None)  # NF4Tensor's `dequantize` is another
    values: Tensor = (old or subclass.dequantize)()
    return values.detach().to(value.dtype)


def obstacle(value: Tensor) -> tuple[str, str] | None:
    """Why a quantised weight cannot carry a delta, and what would help; None if it can."""
    found = (why for name, why in _OBSTACLES.items() if getattr(value, name, None) is not None)
    return next(found, None)
