"""Look-ups in a batch whose samples name their adapters."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from autolora.lora import fused
from autolora.lora.delta import placed
from autolora.lora.route import Place
from autolora.lora.segments import Part, Stack
from autolora.lora.weight import AdaptedWeight, product


@product(F.embedding, mixed=True)
def embedding(  # noqa: PLR0913 — the signature is torch's
    input: Any,  # noqa: A002
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """Looks each sample up in the base and in the `up` of its adapter, times its `down`.

    A padding token gets no gradient. One dimension alone could be positions as well as samples, and
    a table of positions would be mixed up silently, so it is refused.

    Shapes: input (samples, …) of integers, two dimensions or more; weight (tokens, width); result
    (samples, …, width).
    """
    if not isinstance(weight, AdaptedWeight) or max_norm is not None or scale_grad_by_freq:
        return NotImplemented
    if weight.delta.route is None or not isinstance(input, Tensor):
        return NotImplemented
    route, base = weight.delta.route, weight.base
    if padding_idx is not None and padding_idx < 0:
        padding_idx += len(base)
    thin, x = _Embedding(base.dtype, padding_idx), route.samples_first(input)

    def look_up(x: Tensor) -> Tensor:
        return F.embedding(x, base, padding_idx, None, norm_type, sparse=sparse)

    if route.plain or not fused.possible(base, None, input):
        return route.differentiate(x, look_up, thin)
    return route.multiply(x, look_up, thin)


class _Embedding:
    """Products of a look-up, segment by segment.

    A stack of tables would be a copy of them all, for the sake of a few of their rows; and without
    one, batched products with `down` were measured to take longer (docs/decisions/0009).
    """

    def __init__(self, dtype: torch.dtype, padding: int | None) -> None:
        self.dtype = dtype
        self.padding = padding

    def add(self, out: Tensor, x: Tensor, stack: Stack, place: Place) -> None:
        for part, to, of in _each(stack, out, x):
            up, down = self._factors(part, place)
            hidden = F.embedding(of, up).flatten(0, -2)
            to.view(-1, to.shape[-1]).addmm_(hidden, down, alpha=part.scale)

    def delta(self, x: Tensor, stack: Stack, place: Place) -> Tensor:
        made = []
        for part, of in _each(stack, x):
            up, down = self._factors(part, place)
            made.append(F.embedding(of, up, self.padding) @ (down * part.scale))
        found = torch.cat(made)
        if self.padding is not None:  # its vector is fixed, so that `down` learns nothing from it
            found = torch.where((x == self.padding)[..., None], found.detach(), found)
        if not stack.dropout:
            return found
        # There is no input to drop: columns of `down` are, one draw for each sample.
        kept = torch.ones(len(x), *(1,) * (x.ndim - 1), found.shape[-1], dtype=self.dtype)
        return found * F.dropout(kept.to(found.device), stack.dropout)

    def _factors(self, part: Part, place: Place) -> tuple[Tensor, Tensor]:
        return placed(part.up, place.first, place.rows).to(self.dtype), part.down.to(self.dtype)


def _each(stack: Stack, *tensors: Tensor) -> Iterator[tuple[Any, ...]]:
    """Every part with its samples."""
    pieces = (torch.split(tensor, stack.length) for tensor in tensors)
    return zip(stack.parts, *pieces, strict=True)
