"""Torch's attention in a batch whose samples name their adapters.

Torch computes it time first, (time, samples, width), and packs query, key and value in one weight.
The projections are made here, by the products of linear layers; torch does what lies between.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from autolora.lora.delta import Delta
from autolora.lora.weight import AdaptedWeight, product


@product(F.multi_head_attention_forward, mixed=True)
def attention(  # noqa: PLR0913 — the signature is torch's
    query: Any,
    key: Any,
    value: Any,
    width: int,
    heads: int,
    in_weight: Any,
    in_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    dropout: float,
    out_weight: Any,
    out_bias: Any,
    **rest: Any,
) -> Any:
    """Attention with adapted projections.

    An adapted output projection costs a product with an identity more: torch multiplies by some
    matrix there.

    Shapes: query (time, samples, width); key, value (source, samples, …); result like query, and
    the weights of attention.
    """
    if not rest.get("use_separate_proj_weight"):
        made = _project(query, key, value, in_weight, in_bias)
        names = "q_proj_weight", "k_proj_weight", "v_proj_weight"
        rest |= {"use_separate_proj_weight": True, **dict(zip(names, made, strict=True))}
        in_weight = in_bias = None
    last = in_weight, in_bias, bias_k, bias_v, add_zero_attn, dropout
    out: Tensor
    if isinstance(out_weight, AdaptedWeight) and out_weight.delta.route is None:
        out_weight = out_weight.dense()
    if not isinstance(out_weight, AdaptedWeight):
        last = *last, out_weight, out_bias  # type: ignore[assignment]
        return F.multi_head_attention_forward(query, key, value, width, heads, *last, **rest)
    last = *last, torch.eye(width, dtype=query.dtype, device=query.device), None  # type: ignore[assignment]
    out, weights = F.multi_head_attention_forward(query, key, value, width, heads, *last, **rest)
    return F.linear(out, out_weight, out_bias), weights  # type: ignore[arg-type]


class _Made:
    """Stands for a weight whose product is made already."""

    def __init__(self, result: Tensor, columns: int) -> None:
        self.result = result.contiguous()
        self.shape = torch.Size((result.shape[-1], columns))

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """The product, where torch multiplies."""
        del types, kwargs
        return args[1].result if func is F.linear else NotImplemented


def _project(query: Any, key: Any, value: Any, weight: Any, bias: Any) -> tuple[_Made, ...]:
    width = query.shape[-1]
    if query is key and key is value:
        made = F.linear(query, weight, bias).chunk(3, -1)
    else:
        made = (_linear(query, weight, bias, (0, width)),)
        if key is value:
            made += _linear(key, weight, bias, (width, 3 * width)).chunk(2, -1)
        else:
            made += (_linear(key, weight, bias, (width, 2 * width)),)
            made += (_linear(value, weight, bias, (2 * width, 3 * width)),)
    return tuple(_Made(result, width) for result in made)


def _linear(x: Tensor, weight: Any, bias: Any, rows: tuple[int, int]) -> Tensor:
    first, last = rows
    bias = bias if bias is None else bias[first:last]
    if not isinstance(weight, AdaptedWeight) or weight.delta.route is None:
        return F.linear(x, weight[first:last], bias)
    delta = Delta(last - first, weight.delta.columns)
    delta.route = weight.delta.route.narrow(first, last)
    some = {"weight": weight.base[first:last]}
    return F.linear(x, AdaptedWeight(some, "weight", delta), bias)  # type: ignore[arg-type]
