"""Convolutions in a batch whose samples name their adapters."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from autolora.lora import fused
from autolora.lora.route import Place
from autolora.lora.segments import Stack
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
        return route.multiply(
            x.to(dtype).contiguous(), lambda x: convolve(x, kernel, bias, *how), thin
        )


@dataclass(frozen=True)
class _Conv:
    """How a kernel of a shape moves: stride, padding, dilation and groups.

    All samples of a stack are the groups of one convolution of a single sample; groups of the
    layer are groups within these.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    how: tuple[Any, ...]

    def add(self, out: Tensor, x: Tensor, stack: Stack, place: Place) -> None:
        up, hidden = self._hidden(x, stack, place, keep=True)
        if out.is_contiguous():
            out.view(*up.shape[:2], -1).baddbmm_(up, hidden.flatten(2))
        else:
            out.add_(_pointwise(up, hidden, out.shape))

    def delta(self, x: Tensor, stack: Stack, place: Place) -> Tensor:
        up, hidden = self._hidden(stack.dropped(x).to(self.dtype), stack, place, keep=False)
        return _pointwise(up, hidden, (len(x), self.shape[0], *hidden.shape[2:]))

    def _hidden(
        self, x: Tensor, stack: Stack, place: Place, *, keep: bool
    ) -> tuple[Tensor, Tensor]:
        """`up`, and what lies between the factors, for each group of each sample.

        Shapes: up (samples · groups, rows / groups, rank); hidden (samples · groups, rank, …).
        """
        groups, (_, *patch) = self.how[-1], self.shape
        up, down = stack.up(self.dtype, keep=keep), stack.down(self.dtype, keep=keep)
        if stack.length > 1:
            up, down = (f.repeat_interleave(stack.length, 0) for f in (up, down))
        if not place.whole:
            up = F.pad(up, (0, 0, place.first, place.rows - place.last))
        up = up.reshape(len(x) * groups, -1, stack.rank)
        if self._is_pointwise():
            hidden = torch.bmm(down, x.flatten(2)).view(*down.shape[:2], *x.shape[2:])
        else:
            kernel = down.view(len(x), 1, -1, *patch).expand(-1, groups, -1, *(-1,) * len(patch))
            joint = x.reshape(1, -1, *x.shape[2:])
            how = *self.how[:-1], len(x) * groups
            hidden = _CONVOLVE[len(patch) - 2](joint, kernel.flatten(0, 2), None, *how)
        scaled = stack.scaled(hidden.reshape(len(stack.parts), -1))
        return up, scaled.view(len(up), stack.rank, *hidden.shape[2:])

    def _is_pointwise(self) -> bool:
        """Whether the kernel sees one pixel of all channels, each once."""
        stride, padding, _, groups = self.how
        once = {stride} if isinstance(stride, int) else set(stride)
        none = isinstance(padding, str) or not any(
            (padding,) if isinstance(padding, int) else padding
        )
        return groups == 1 and math.prod(self.shape[2:]) == 1 and once == {1} and none


def _pointwise(up: Tensor, hidden: Tensor, shape: Sequence[int]) -> Tensor:
    return torch.bmm(up, hidden.flatten(2)).view(tuple(shape))
