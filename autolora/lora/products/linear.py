"""W x + b + up (down x): the product of `nn.Linear` and everything built on it."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from autolora.lora import fused
from autolora.lora.delta import Parts, dropout_of
from autolora.lora.quantised import is_quantised
from autolora.lora.thin import beside
from autolora.lora.weight import AdaptedWeight, product

# Measured on a CPU (docs/decisions/0007): moving an element costs 4 multiplications; for few tokens
# the calls of an autograd function in Python cost more than they spare.
_MOVE, _FEW = 4, 32


@product(F.linear)
def linear(input: Any, weight: Any, bias: Any = None) -> Any:  # noqa: A002
    """Multiplies by base and delta apart.

    Shapes: input (…, columns); weight (rows, columns); result (…, rows).
    Source: Hu et al. 2021, equation 3.
    """
    if not isinstance(weight, AdaptedWeight) or not isinstance(input, Tensor):
        return NotImplemented
    if weight.delta.layout != "flat":
        return NotImplemented
    if is_quantised(weight.base):  # its own kernel multiplies it; the sum would dequantise it
        return beside(input, F.linear(input, weight.base, bias), weight.delta)
    return _multiply(input, weight, bias)


@product(torch.addmm)
def addmm(input: Any, mat1: Any, mat2: Any, **rest: Any) -> Any:  # noqa: A002
    """The same for a layer that stores its matrix transposed and adds its bias first.

    Shapes: input (rows,); mat1 (tokens, columns); mat2 (columns, rows); result (tokens, rows).
    """
    plain = isinstance(input, Tensor) and input.ndim == 1 and isinstance(mat1, Tensor) and not rest
    if not plain or not isinstance(mat2, AdaptedWeight) or mat2.delta.layout != "transposed":
        return NotImplemented
    if is_quantised(mat2.base):
        return NotImplemented
    return _multiply(mat1, mat2, input)


def _multiply(input: Tensor, weight: AdaptedWeight, bias: Any) -> Any:  # noqa: A002
    parts, tokens = weight.delta.active(), input.numel() // input.shape[-1]
    dropout = dropout_of(parts)
    if dropout is None or not weight.apart(_cost(weight, parts, tokens), tokens):
        return NotImplemented
    base, factors, dtype = weight.matrix, weight.delta.factors(parts), fused.dtype_of(input)
    if not fused.possible(base, bias, input, factors.up, factors.down) or tokens < _FEW:
        up, down, scale = factors.to(dtype)
        through = F.dropout(input, dropout) if dropout else input
        thin = F.linear(F.linear(through, down), up)
        whole = F.linear(input, base, bias)
        # Torch 2.14's inductor makes one product of both and forgets `alpha`.
        compiles = torch.compiler.is_compiling()
        return whole + scale * thin if compiles else torch.add(whole, thin, alpha=scale)
    with fused.exactly(input.device.type):
        x, base, bias, up, down = fused.cast(dtype, input, base, bias, *factors[:2])
        if torch.is_grad_enabled():
            return _Linear.apply(x, base, bias, up, down, factors.scale, dropout)
        through = F.dropout(x, dropout) if dropout else x
        return _linear(x, base, bias, up, down, factors.scale, through)[0]


def _cost(weight: AdaptedWeight, parts: Parts, tokens: int) -> float:
    """Of the two thin products, in multiplications; with gradients they are six."""
    rank = sum(part.rank for _, part in parts)
    once = tokens * (weight.delta.rows + weight.delta.columns) * (rank + _MOVE)
    return 3 * once if weight.trains else once


def _linear(  # noqa: PLR0913
    x: Tensor,
    base: Tensor,
    bias: Tensor | None,
    up: Tensor,
    down: Tensor,
    scale: float,
    through: Tensor,
) -> tuple[Tensor, Tensor]:
    """The result, added up in place, and what lies between the factors, a row for each rank.

    Thin matrices are kept wide, ranks as rows: at 8 ranks that is more than twice as fast.
    """
    out = F.linear(x, base, bias)
    hidden = down @ through.reshape(-1, x.shape[-1]).T
    out.view(-1, out.shape[-1]).addmm_(hidden.T, up.T, alpha=scale)
    return out, hidden


class _Linear(torch.autograd.Function):
    """Base and delta in one place: the input is kept once, gradients are added in place.

    With dropout, the mask is kept beside the input, a byte for each element.
    """

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        *tensors, ctx.scale, ctx.dropout = arguments
        x, base, bias, up, down = tensors
        through, mask = torch.native_dropout(x, ctx.dropout, train=True) if ctx.dropout else (x, x)
        out, hidden = _linear(x, base, bias, up, down, ctx.scale, through)
        ctx.save_for_backward(x, base, up, down, hidden, *((mask,) if ctx.dropout else ()))
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, base, up, down, hidden, *mask = ctx.saved_tensors
        slopes, rows = grad.reshape(-1, grad.shape[-1]), x.reshape(-1, x.shape[-1])
        through = _masked(rows, mask, ctx.dropout)
        if torch.is_grad_enabled():  # to be differentiated again: also through what was kept
            hidden = down @ through.T
        thin = up.T @ slopes.T
        thin = thin if ctx.scale == 1 else thin.mul_(ctx.scale)
        needs = ctx.needs_input_grad
        to_input = to_up = to_down = None
        if needs[0]:
            to_input = slopes @ base
            to_input = (
                to_input + _masked(thin.T @ down, mask, ctx.dropout)
                if mask
                else to_input.addmm_(thin.T, down)
            ).view(x.shape)
        if needs[3]:
            to_up = (hidden @ slopes).T
            to_up = to_up if ctx.scale == 1 else to_up.mul_(ctx.scale)
        if needs[4]:
            to_down = thin @ through
        return to_input, None, None, to_up, to_down, None, None


def _masked(rows: Tensor, mask: list[Tensor], dropout: float) -> Tensor:
    return rows * mask[0].view(rows.shape) * (1 / (1 - dropout)) if mask else rows
