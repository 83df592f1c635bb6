"""The route of a mixed batch: which deltas each of its samples takes at one weight.

The samples are sorted into segments by adapter, and segments whose adapters have like ranks are
multiplied in one batched product (`segments.py`, docs/decisions/0009).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from autolora.errors import WrongBatch
from autolora.lora.segments import Lane, Lanes, Stack


class Place(NamedTuple):
    """Which rows of a stack of factors go where: to `first` and below, of `rows` in all."""

    first: int
    start: int
    stop: int
    rows: int

    @property
    def last(self) -> int:
        """The row of the result after them."""
        return self.first + self.stop - self.start

    @property
    def whole(self) -> bool:
        """Whether they are all rows of the result."""
        return self.stop - self.start == self.rows


class Thin(Protocol):
    """How a family of functions multiplies by a stack of factors."""

    def add(self, out: Tensor, x: Tensor, stack: Stack, place: Place) -> None:
        """Adds the product with a stack, in place."""

    def delta(self, x: Tensor, stack: Stack, place: Place) -> Tensor:
        """The product with a stack, in all rows of the result; with dropout."""


@dataclass(frozen=True)
class Route:
    """Which parts of one delta each sample of a batch takes.

    `dimension` is the one in which a layer's input has its samples, `window` the rows of the weight
    that are multiplied.
    """

    where: str
    lanes: Lanes
    window: tuple[int, int]
    dimension: int = 0

    def __reduce__(self) -> tuple[Callable[..., None], tuple[()]]:
        """A copy made inside the context is of no mixed batch: None takes the route's place."""
        return type(None), ()

    def samples_first(self, x: Tensor, after: int = 1) -> Tensor:
        """An input with its samples in the first dimension, and at least `after` others.

        Raises:
            WrongBatch: if their number is not that of the names.
        """
        least, size = self.dimension + 1 + after, len(self.lanes.batch.names)
        found = x.shape[self.dimension] if x.ndim >= least else None
        if found != size:
            raise WrongBatch(self.where, tuple(x.shape), self.dimension, size)
        return self.swapped(x)

    @property
    def plain(self) -> bool:
        """Whether a product is differentiated or drops inputs, so nothing may be done in place."""
        return torch.is_grad_enabled() or self.lanes.drops

    def narrow(self, first: int, last: int) -> "Route":
        """The same for some rows of the weight."""
        return replace(self, window=(first, last))

    def swapped(self, x: Tensor) -> Tensor:
        """A tensor with its first dimension where the samples of the layer's input are, or back."""
        return x.transpose(0, self.dimension) if self.dimension else x

    def multiply(self, x: Tensor, base: Callable[[Tensor], Tensor], thin: Thin) -> Tensor:
        """The product with the base, plus each segment's own, added in place.

        Args:
            x: The input.
            base: Multiplies by the base.
            thin: Multiplies by a stack of factors.

        Shapes: x (samples, …), contiguous; result (samples, …).
        """
        placed = self._placed()
        if len(placed) != 1:  # each has another order
            return self.differentiate(x, base, thin)
        ((lane, place),) = placed
        x = x if lane.order is None else x.index_select(0, lane.order)
        out = base(x)
        for stack, start, stop in _cut(lane):
            thin.add(out[start:stop], x[start:stop], stack, place)
        return out if lane.inverse is None else out.index_select(0, lane.inverse)

    def differentiate(self, x: Tensor, base: Callable[[Tensor], Tensor], thin: Thin) -> Tensor:
        """The same with nothing in place, for autograd, transforms and dropout.

        Shapes: x (samples, …); result (samples, …).
        """
        out = base(x)
        for lane, place in self._placed():
            given = x if lane.order is None else x.index_select(0, lane.order)
            made = [
                thin.delta(given[a:b], stack, place).to(out.dtype) for stack, a, b in _cut(lane)
            ]
            without = len(x) - sum(len(piece) for piece in made)
            if without:
                made.append(out.new_zeros(without, *out.shape[1:]))
            added = made[0] if len(made) == 1 else torch.cat(made)
            out = out + (added if lane.inverse is None else added.index_select(0, lane.inverse))
        return out

    def _placed(self) -> list[tuple[Lane, Place]]:
        """The lanes that reach into the window."""
        low, high = self.window
        found = []
        for lane in self.lanes.get():
            first, last = max(lane.first, low), min(lane.first + lane.rows, high)
            if first < last:
                place = Place(first - low, first - lane.first, last - lane.first, high - low)
                found.append((lane, place))
        return found


def _cut(lane: Lane) -> Iterator[tuple[Stack, int, int]]:
    """The stacks of a lane, each with its first sample and the one after its last."""
    start = 0
    for stack in lane.stacks:
        yield stack, start, start + stack.samples
        start += stack.samples
