"""When a product may be one autograd function, and in which types of numbers.

Such a function keeps its input once, adds in place and forms no intermediate that nobody needs.
It is right for double backward, but torch cannot look into it: where a transform or a compiler
must, or where the base itself is trained, the product is written out instead.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter

from autolora.lora.weight import is_cast

_PLAIN = (Tensor, Parameter)


def possible(base: Tensor, bias: Tensor | None, *others: Tensor) -> bool:
    """Whether a product of these tensors may be one autograd function."""
    tensors = (base, *others) if bias is None else (base, bias, *others)
    return (
        not base.requires_grad
        and not (bias is not None and bias.requires_grad)
        and all(type(tensor) in _PLAIN for tensor in tensors)
        and not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()
        and forward_ad._current_level < 0
        and torch._C._get_tracing_state() is None
    )


def dtype_of(input: Tensor) -> torch.dtype:  # noqa: A002
    """The type of number that a product of this input is made in, autocast considered."""
    device = input.device.type
    if input.dtype == torch.float64 or not is_cast(device):
        return input.dtype
    return torch.get_autocast_dtype(device)


@contextmanager
def exactly(device: str) -> Iterator[None]:
    """Within this context autocast changes nothing any more."""
    if not is_cast(device):
        yield
        return
    with torch.autocast(device, enabled=False):
        yield


def cast(dtype: torch.dtype, *tensors: Tensor | None) -> list[Any]:
    """The tensors in a type of number; None stays."""
    return [t if t is None or t.dtype == dtype else t.to(dtype) for t in tensors]
