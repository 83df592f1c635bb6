"""The delta alone, multiplied by an input: what is added to a product of the base made elsewhere.

It is multiplied in the type of the factors or of the input, whichever is wider: the base may have
few bits, the delta has all of them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from autolora.lora.delta import Delta
from autolora.lora.low_rank import LowRank
from autolora.lora.route import Place
from autolora.lora.segments import Stack


def beside(input: Tensor, answer: Tensor, delta: Delta) -> Tensor:  # noqa: A002
    """What the base makes of an input, and what every active part of a delta makes of it.

    Each part drops inputs at its own rate. In a mixed batch each sample takes the parts that it
    names.

    Shapes: input (…, columns); answer and result (…, rows).
    Source: Hu et al. 2021, equation 3; Dettmers et al. 2023 (QLoRA), equation 5.
    """
    if (route := delta.route) is not None:
        x = route.samples_first(input)
        thin = Segmented(torch.promote_types(x.dtype, route.lanes.dtype))
        mixed: Tensor = route.differentiate(x, lambda _: route.swapped(answer), thin)
        return route.swapped(mixed)  # type: ignore[no-any-return]
    for first, part in delta.active():
        made = _product(F.dropout(input, part.dropout, part.training), part)
        made = made if part.share == 1 else made * part.share
        below = delta.rows - first - made.shape[-1]
        made = F.pad(made, (first, below)) if first or below else made
        answer = answer + made.to(answer.dtype)
    return answer


@dataclass(frozen=True)
class Segmented:
    """Products of the samples of a mixed batch with stacks of factors, in a type of number.

    Shapes: x (samples, …, columns); results (samples, …, rows).
    """

    dtype: torch.dtype

    def add(self, out: Tensor, x: Tensor, stack: Stack, place: Place) -> None:
        """Adds the product with a stack, in place."""
        up, down = stack.up(self.dtype, keep=True), stack.down(self.dtype, keep=True)
        hidden = torch.bmm(_segments(x, stack), down.mT)
        to = out.view(len(stack.parts), -1, out.shape[-1])[..., place.first : place.last]
        to.baddbmm_(stack.scaled(hidden), up[:, place.start : place.stop].mT)

    def delta(self, x: Tensor, stack: Stack, place: Place) -> Tensor:
        """The product with a stack, in all rows of the result; with dropout."""
        up, down = stack.up(self.dtype, keep=False), stack.down(self.dtype, keep=False)
        through = _segments(stack.dropped(x).to(self.dtype), stack)
        hidden = stack.scaled(torch.bmm(through, down.mT))
        made = torch.bmm(hidden, up[:, place.start : place.stop].mT)
        made = made.view(*x.shape[:-1], made.shape[-1])
        return made if place.whole else F.pad(made, (place.first, place.rows - place.last))


def _segments(x: Tensor, stack: Stack) -> Tensor:
    return x.reshape(len(stack.parts), -1, x.shape[-1])


def _product(x: Tensor, part: LowRank) -> Tensor:
    dtype = torch.promote_types(x.dtype, part.up.dtype)
    return F.linear(F.linear(x.to(dtype), part.down.to(dtype) * part.scale), part.up.to(dtype))
