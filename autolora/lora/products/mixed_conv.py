"""Convolutions in a batch whose samples name their adapters."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from autolora.lora import fused
from autolora.lora.delta import placed
from autolora.lora.route import Part, dropped
from autolora.lora.weight import AdaptedWeight, product

_CONVOLVE = (F.conv1d, F.conv2d, F.conv3d)


@product(*_CONVOLVE, mixed=True)
def conv(  # noqa: PLR0913 — the signature is torch's
    input: Any,  # noqa: A002
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Convolves all samples with the base, and each with the delta of its adapter.

    Shapes: input (samples, channels, *space); weight (rows, channels / groups, *kernel); result
    (samples, rows, *space).
    """
    if not isinstance(weight, AdaptedWeight) or not isinstance(input, Tensor):
        return NotImplemented
    if weight.delta.route is None:
        return NotImplemented
    route, base, dtype = weight.delta.route, weight.base, fused.dtype_of(input)
    how = stride, padding, dilation, groups
    convolve = _CONVOLVE[base.ndim - 3]
    thin = _Conv(tuple(base.shape), dtype, how)
    x = route.samples_first(input, after=base.ndim - 1)
    if route.plain or not fused.possible(base, bias, input):
        return route.differentiate(x, lambda x: convolve(x, base, bias, *how), thin)
    with fused.exactly(input.device.type):
        kernel, bias = base.to(dtype), bias if bias is None else bias.to(dtype)
        return route.multiply(x.to(dtype), lambda x: convolve(x, kernel, bias, *how), thin)


class _Conv(NamedTuple):
    """How a kernel of a shape moves: stride, padding, dilation and groups."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    how: tuple[Any, ...]

    def add(self, out: Tensor, x: Tensor, first: int, part: Part) -> None:
        up, hidden = self._hidden(x, first, part)
        if self.how[-1] == 1 and out.is_contiguous() and hidden.is_contiguous():
            pixels = out.flatten(2)
            pixels.baddbmm_(up.expand(len(x), *up.shape), hidden.flatten(2), alpha=part.scale)
        else:
            out.add_(self._up(hidden, up), alpha=part.scale)

    def delta(self, x: Tensor, first: int, part: Part) -> Tensor:
        up, hidden = self._hidden(dropped(x, part), first, part)
        return self._up(hidden, up * part.scale)

    def _hidden(self, x: Tensor, first: int, part: Part) -> tuple[Tensor, Tensor]:
        rows, *patch = self.shape
        up, down = placed(part.up, first, rows).to(self.dtype), part.down.to(self.dtype)
        groups = self.how[-1]
        kernel = down.view(-1, *patch).repeat(groups, *(1,) * len(patch))
        return up, _CONVOLVE[len(patch) - 2](x.to(self.dtype), kernel, None, *self.how)

    def _up(self, hidden: Tensor, up: Tensor) -> Tensor:
        space = len(self.shape) - 2
        kernel = up.view(*up.shape, *(1,) * space)
        return _CONVOLVE[space - 1](hidden, kernel, groups=self.how[-1])
