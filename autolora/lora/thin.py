"""The delta alone, multiplied by an input: what is added to a product of the base made elsewhere.

It is multiplied in the type of the factors or of the input, whichever is wider: the base may have
few bits, the delta has all of them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from autolora.lora.delta import Delta
from autolora.lora.route import Part


def beside(input: Tensor, answer: Tensor, delta: Delta) -> Tensor:  # noqa: A002
    """What the base makes of an input, and what every active part of a delta makes of it.

    Each part drops inputs at its own rate. In a mixed batch each sample takes the parts that it
    names.

    Shapes: input (…, columns); answer and result (…, rows).
    Source: Hu et al. 2021, equation 3; Dettmers et al. 2023 (QLoRA), equation 5.
    """
    thin = Thin(delta.rows)
    if (route := delta.route) is not None:
        x = route.samples_first(input)
        mixed: Tensor = route.differentiate(x, lambda _: route.swapped(answer), thin)
        return route.swapped(mixed)  # type: ignore[no-any-return]
    for first, part in delta.active():
        added = thin.delta(input, first, part)
        added = added if part.share == 1 else added * part.share
        answer = answer + added.to(answer.dtype)
    return answer


@dataclass(frozen=True)
class Thin:
    """Products of an input with one part of a delta of so many rows."""

    rows: int

    def delta(self, x: Tensor, first: int, part: Part) -> Tensor:
        """The product with a part, in all rows of the result; with dropout."""
        made = _product(F.dropout(x, part.dropout, part.training), part)
        below = self.rows - first - made.shape[-1]
        return F.pad(made, (first, below)) if first or below else made

    def add(self, out: Tensor, x: Tensor, first: int, part: Part) -> None:
        """Adds the product with a part that starts at a row, in place."""
        made = _product(x, part)
        out[..., first : first + made.shape[-1]].add_(made)


def _product(x: Tensor, part: Part) -> Tensor:
    dtype = torch.promote_types(x.dtype, part.up.dtype)
    return F.linear(F.linear(x.to(dtype), part.down.to(dtype) * part.scale), part.up.to(dtype))
