"""A look-up in the base plus a look-up in `up`, times `down`."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from autolora.lora import fused
from autolora.lora.weight import AdaptedWeight, product


@product(F.embedding)
def embedding(  # noqa: PLR0913 — the signature is torch's
    input: Any,  # noqa: A002
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """Looks up base and delta apart; `up` is indexed by token, so `down` stays small.

    The gradient of `up` is dense whatever `sparse` says: it has `rank` columns only. A padding
    token gets no gradient, hence keeps its base vector. Scaling gradients by frequency is defined
    for the table alone, so there the sum is formed.

    Shapes: input (…) of integers; weight (tokens, width); result (…, width).
    """
    if not isinstance(weight, AdaptedWeight) or max_norm is not None or scale_grad_by_freq:
        return NotImplemented
    if weight.delta.dropout != 0:
        return NotImplemented
    base = weight.base
    up, down, scale = weight.delta.factors().to(base.dtype)
    if padding_idx is not None and padding_idx < 0:
        padding_idx += len(base)
    if fused.possible(base, None, input, up, down):
        arguments = input, base, up, down, scale
        if torch.is_grad_enabled():
            return _Embedding.apply(*arguments, padding_idx)
        return _look_up(*arguments)[0]
    found = F.embedding(input, base, padding_idx, None, norm_type, sparse=sparse)
    delta = F.embedding(input, up, padding_idx) @ (down * scale)
    if padding_idx is not None:  # its vector is fixed, so that `down` learns nothing from it
        delta = torch.where((input == padding_idx)[..., None], delta.detach(), delta)
    return found + delta


def _look_up(
    tokens: Tensor, base: Tensor, up: Tensor, down: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """What is found, added up in place, and what lies between the factors."""
    out, hidden = F.embedding(tokens, base), F.embedding(tokens, up).flatten(0, -2)
    out.view(-1, out.shape[-1]).addmm_(hidden, down, alpha=scale)
    return out, hidden


class _Embedding(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        tokens, _, up, down, ctx.scale, ctx.padding = arguments
        out, hidden = _look_up(*arguments[:-1])
        ctx.save_for_backward(tokens, up, down, hidden)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        tokens, up, down, hidden = ctx.saved_tensors
        if torch.is_grad_enabled():  # to be differentiated again: also through what was kept
            hidden = F.embedding(tokens, up, ctx.padding).flatten(0, -2)
        if ctx.padding is not None:  # its vector is fixed, so that `down` learns nothing from it
            hidden = hidden.masked_fill((tokens == ctx.padding).view(-1, 1), 0)
        slopes = grad.reshape(-1, grad.shape[-1])
        thin = (slopes @ down.T).mul_(ctx.scale).view(*tokens.shape, -1)
        padding = -1 if ctx.padding is None else ctx.padding
        to_up = to_down = None
        if ctx.needs_input_grad[2]:
            backward = torch.ops.aten.embedding_dense_backward
            to_up = backward(thin, tokens, len(up), padding, scale_grad_by_freq=False)
        if ctx.needs_input_grad[3]:
            to_down = (hidden.T @ slopes).mul_(ctx.scale)
        return None, None, to_up, to_down, None, None
