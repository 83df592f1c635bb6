"""One formula for convolutions of one, two and three dimensions.

A kernel seen as the matrix `flatten(1)` has rows = output channels and columns = a patch of one
group. So `down` is a kernel of rank output channels and `up` a 1 × 1 convolution. Groups take the
sum: there no group sees another, and the rank need not divide anything.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from autolora.lora import fused
from autolora.lora.delta import Factors
from autolora.lora.weight import AdaptedWeight, product

# Measured on a CPU for layers of MobileNetV2 (docs/decisions/0007): a convolution with few output
# channels costs what one with 16 does; an element moved costs 6 multiplications, the further calls
# 4 million; with gradients the thin products cost 2.5 times their forward pass.
_LANES, _MOVE, _CALLS, _GRADIENTS = 16, 6, 4_000_000, 2.5
_PIXELS = 64  # from here on a batched matrix product beats a pointwise convolution

_CONVOLVE = (F.conv1d, F.conv2d, F.conv3d)


class Geometry(NamedTuple):
    """How a kernel moves; one number for each dimension of space."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


@product(*_CONVOLVE)
def conv(  # noqa: PLR0913 — the signature is torch's
    input: Any,  # noqa: A002
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Convolves with base and delta apart, or with their sum, whatever is cheaper.

    Shapes: input (batch, channels, *space) or without the batch; weight (rows, channels / groups,
    *kernel); result (batch, rows, *space).
    """
    if not isinstance(weight, AdaptedWeight) or not isinstance(input, Tensor):
        return NotImplemented
    dropout, space = weight.delta.dropout, weight.ndim - 2
    strides = _each(stride, space)
    positions = input.numel() // input.shape[-space - 1] // math.prod(strides)
    # Apart, a grouped convolution would need the hidden channels once for each group.
    if dropout is None or groups > 1:
        return NotImplemented
    if not weight.apart(_cost(weight, input.numel(), positions), positions):
        return NotImplemented
    dtype = fused.dtype_of(input)
    base, factors = weight.base, weight.delta.factors().to(dtype)
    plain = not fused.possible(base, bias, input, *factors[:2]) or isinstance(padding, str)
    if plain or dropout or input.ndim != space + 2:
        rest = stride, padding, dilation
        through = F.dropout(input, dropout) if dropout else input
        delta = _thin(through, weight, factors, rest)
        return _CONVOLVE[space - 1](input, base, bias, *rest) + delta
    how = Geometry(strides, _each(padding, space), _each(dilation, space), groups)
    with fused.exactly(input.device.type):
        x, base, bias = fused.cast(dtype, input, base, bias)
        arguments = x, base, bias, *factors, how
        return _Apart.apply(*arguments) if torch.is_grad_enabled() else _apart(*arguments)[0]


def _cost(weight: AdaptedWeight, inputs: int, positions: int) -> float:
    """Of the two thin products, in multiplications."""
    rows, lanes = weight.delta.rows, -(-weight.delta.rank // _LANES) * _LANES
    products: float = positions * lanes * (weight.delta.columns + rows)
    products *= _GRADIENTS if weight.trains else 1
    return products + _MOVE * (inputs + 3 * positions * rows) + _CALLS


def _thin(
    input: Tensor,  # noqa: A002
    weight: AdaptedWeight,
    factors: Factors,
    how: tuple[Any, ...],
) -> Tensor:
    up, down, scale = factors
    space = weight.ndim - 2
    convolve, kernel = _CONVOLVE[space - 1], down.view(-1, *weight.shape[1:])
    hidden = convolve(input, kernel if scale == 1 else kernel * scale, None, *how)
    return convolve(hidden, up.view(*up.shape, *(1,) * space))


def _each(value: Any, space: int) -> tuple[int, ...]:
    if isinstance(value, str):
        return (0,) * space  # which no product makes use of
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    return values if len(values) == space else values * space


def _apart(  # noqa: PLR0913
    x: Tensor,
    base: Tensor,
    bias: Tensor | None,
    up: Tensor,
    down: Tensor,
    scale: float,
    how: Geometry,
) -> tuple[Tensor, Tensor]:
    """The result, added up in place, and what lies between the factors."""
    convolve = _CONVOLVE[base.ndim - 3]
    out = convolve(x, base, bias, *how)
    hidden = convolve(x, down.view(-1, *base.shape[1:]), None, *how)
    _add_pointwise(out, hidden, up, scale)
    return out, hidden


def _add_pointwise(out: Tensor, x: Tensor, kernel: Tensor, scale: float) -> Tensor:
    """Adds a pointwise convolution in place: large temporaries cost more than their arithmetic."""
    pixels = out[0, 0].numel()
    if pixels >= _PIXELS and out.is_contiguous() and x.is_contiguous():
        out.flatten(2).baddbmm_(kernel.expand(len(x), *kernel.shape), x.flatten(2), alpha=scale)
        return out
    convolve = _CONVOLVE[x.ndim - 3]
    return out.add_(convolve(x, kernel.view(*kernel.shape, *(1,) * (x.ndim - 2))), alpha=scale)


class _Apart(torch.autograd.Function):
    """Base and delta one after the other; the input is kept once."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        x, base, _, up, down, ctx.scale, ctx.how = arguments
        out, hidden = _apart(*arguments)
        ctx.save_for_backward(x, base, up, down, hidden)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, base, up, down, hidden = ctx.saved_tensors
        kernel, pointwise = down.view(-1, *base.shape[1:]), up.view(*up.shape, *(1,) * (x.ndim - 2))
        if torch.is_grad_enabled():  # to be differentiated again: also through what was kept
            hidden = _CONVOLVE[base.ndim - 3](x, kernel, None, *ctx.how)
        needs = ctx.needs_input_grad
        thin, to_up = _slopes(grad, hidden, pointwise, _still(ctx.how), (True, needs[3]))
        assert thin is not None
        thin = thin.mul_(ctx.scale)
        if base[0, 0].numel() == 1 and set(ctx.how.stride) == {1} and not any(ctx.how.padding):
            to_kernel = _slopes(thin, x, kernel, ctx.how, (False, needs[4]))[1]
            to_input = _slopes(grad, x, base, ctx.how, (needs[0], False))[0]
            if to_input is not None:
                to_input = _add_pointwise(to_input, thin, down.T, 1.0)
        else:
            to_input, to_kernel = _slopes(thin, x, kernel, ctx.how, (needs[0], needs[4]))
            if to_input is not None:
                to_base = _slopes(grad, x, base, ctx.how, (True, False))[0]
                to_input.add_(to_base)  # type: ignore[arg-type]
        to_up = None if to_up is None else to_up.reshape(up.shape).mul_(ctx.scale)
        to_down = None if to_kernel is None else to_kernel.reshape(down.shape)
        return to_input, None, None, to_up, to_down, None, None


def _still(how: Geometry) -> Geometry:
    """The geometry of a pointwise convolution."""
    once = (1,) * len(how.stride)
    return Geometry(once, (0,) * len(once), once, 1)


def _slopes(
    grad: Tensor, x: Tensor, kernel: Tensor, how: Geometry, needs: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """The gradients of input and kernel, those that are needed."""
    pixels = x[0, 0].numel()
    if kernel[0, 0].numel() == 1 and pixels >= _PIXELS and how == _still(how):
        slopes = grad.reshape(*grad.shape[:2], -1)
        matrix = kernel.flatten(1).T
        to_x = (matrix.expand(len(x), *matrix.shape) @ slopes).view(x.shape) if needs[0] else None
        to_kernel = (slopes @ x.flatten(2).mT).sum(0).view(kernel.shape) if needs[1] else None
        return to_x, to_kernel
    backward = torch.ops.aten.convolution_backward
    none = [0] * len(how.stride)
    settings = how.stride, how.padding, how.dilation, False, none, how.groups
    found = backward(grad, x, kernel, None, *settings, (*needs, False))
    return found[0], found[1]
