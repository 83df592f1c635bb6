"""The route of a mixed batch: which deltas each of its samples takes at one weight.

A batch is cut into *runs*: samples beside each other that name the same adapter. A run is one
pair of thin products on a view of the batch, so ranks are never padded and factors never copied.
Where the products are so small that their calls cost more than moving the samples, or on a device
where calls cost much, the samples are sorted by adapter first, which makes the runs fewest.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from autolora.errors import WrongBatch

# Elements of a sample up to which moving all of them is cheaper than more calls.
_SMALL = 6_000


class Part(Protocol):
    """What a product needs of a `LowRank`, or of some of its rows."""

    @property
    def up(self) -> Tensor: ...  # noqa: D102
    @property
    def down(self) -> Tensor: ...  # noqa: D102
    @property
    def rows(self) -> int: ...  # noqa: D102
    @property
    def scale(self) -> float: ...  # noqa: D102
    @property
    def dropout(self) -> float: ...  # noqa: D102
    @property
    def training(self) -> bool: ...  # noqa: D102


Parts = tuple[tuple[int, Part], ...]


class Rows(NamedTuple):
    """Some rows of a part."""

    up: Tensor
    down: Tensor
    rows: int
    scale: float
    dropout: float
    training: bool


class Run(NamedTuple):
    """Samples from `start` to before `stop` that name one adapter, or None."""

    name: str | None
    start: int
    stop: int


class Arranged(NamedTuple):
    """A batch in some order; `order` and `inverse` are None where it is the order given."""

    runs: tuple[Run, ...]
    order: Tensor | None = None
    inverse: Tensor | None = None


class Batch:
    """The adapters that the samples of a batch name, in the order given and sorted.

    >>> batch = Batch(("a", None, "b", "a"))
    >>> [tuple(run) for run in batch.given.runs]
    [('a', 0, 1), (None, 1, 2), ('b', 2, 3), ('a', 3, 4)]
    >>> [tuple(run) for run in batch.sorted("cpu").runs], batch.sorted("cpu").order.tolist()
    ([('a', 0, 2), ('b', 2, 3), (None, 3, 4)], [0, 3, 2, 1])
    """

    def __init__(self, names: tuple[str | None, ...]) -> None:
        self.names = names
        self.distinct = frozenset(names)
        self.given = Arranged(tuple(_runs(names)))
        self._order = sorted(range(len(names)), key=lambda i: (names[i] is None, names[i] or ""))
        self._sorted: dict[str, Arranged] = {}

    def sorted(self, device: torch.device | str) -> Arranged:
        """The batch sorted by adapter, with its indices on a device."""
        if self._order == list(range(len(self._order))):
            return self.given
        if (found := self._sorted.get(str(device))) is None:
            with torch.inference_mode(False):  # for it may serve training later on
                order = torch.tensor(self._order, device=device)
                runs = tuple(_runs([self.names[i] for i in self._order]))
                found = self._sorted[str(device)] = Arranged(runs, order, order.argsort())
        return found


class Thin(Protocol):
    """How a family of functions multiplies by one part of a delta."""

    def add(self, out: Tensor, x: Tensor, first: int, part: Part) -> None:
        """Adds the product with a part that starts at a row, in place."""

    def delta(self, x: Tensor, first: int, part: Part) -> Tensor:
        """The product with a part, in all rows of the result; with dropout."""


@dataclass(frozen=True)
class Route:
    """Which parts of one delta each sample of a batch takes.

    `dimension` is the one in which a layer's input has its samples.
    """

    where: str
    batch: Batch
    parts: Mapping[str | None, Parts]
    dimension: int = 0

    def __reduce__(self) -> tuple[Callable[..., None], tuple[()]]:
        """A copy made inside the context is of no mixed batch: None takes the route's place."""
        return type(None), ()

    def samples_first(self, x: Tensor, after: int = 1) -> Tensor:
        """An input with its samples in the first dimension, and at least `after` others.

        Raises:
            WrongBatch: if their number is not that of the names.
        """
        least, size = self.dimension + 1 + after, len(self.batch.names)
        found = x.shape[self.dimension] if x.ndim >= least else None
        if found != size:
            raise WrongBatch(self.where, tuple(x.shape), self.dimension, size)
        return self.swapped(x)

    @property
    def plain(self) -> bool:
        """Whether a product is differentiated or drops inputs, so nothing may be done in place."""
        return torch.is_grad_enabled() or any(
            part.training and part.dropout for parts in self.parts.values() for _, part in parts
        )

    def narrow(self, first: int, last: int) -> "Route":
        """The same for some rows of the weight."""
        parts = {
            name: tuple(
                (max(start - first, 0), _cut(part, max(first - start, 0), last - start))
                for start, part in found
                if start < last and first < start + part.rows
            )
            for name, found in self.parts.items()
        }
        return replace(self, parts=parts)

    def swapped(self, x: Tensor) -> Tensor:
        """A tensor with its first dimension where the samples of the layer's input are, or back."""
        return x.transpose(0, self.dimension) if self.dimension else x

    def multiply(
        self, x: Tensor, base: Callable[[Tensor], Tensor], thin: Thin, *, flat: bool = False
    ) -> Tensor:
        """The product with the base, plus each run's own with its parts, added in place.

        Args:
            x: The input.
            base: Multiplies by the base.
            thin: Multiplies by a part.
            flat: Whether `thin` takes (tokens, columns) for a run, whatever dimensions x has.

        Shapes: x (samples, …), contiguous; result (samples, …).
        """
        small = x.numel() < _SMALL * len(x) or x.device.type != "cpu"
        runs, order, inverse = self.batch.sorted(x.device) if small else self.batch.given
        if order is not None:
            x = x.index_select(0, order)
        out = base(x)
        size, whole = 1, out
        if flat and x.ndim != 2:
            size, x, out = x.numel() // (len(x) * x.shape[-1]), x.flatten(0, -2), out.flatten(0, -2)
        sizes = [(run.stop - run.start) * size for run in runs]
        for run, to, of in zip(runs, torch.split(out, sizes), torch.split(x, sizes), strict=True):
            for first, part in self.parts.get(run.name, ()):
                thin.add(to, of, first, part)
        return whole if inverse is None else whole.index_select(0, inverse)

    def differentiate(self, x: Tensor, base: Callable[[Tensor], Tensor], thin: Thin) -> Tensor:
        """The same with nothing in place, for autograd, transforms and dropout.

        Shapes: x (samples, …); result (samples, …).
        """
        out = base(x)
        runs, order, inverse = self.batch.sorted(x.device)
        if order is not None:
            x = x.index_select(0, order)
        pieces = []
        for name, start, stop in runs:
            parts = self.parts.get(name, ())
            found = [thin.delta(x[start:stop], *part) for part in parts]
            if len(found) > 1:
                found = [torch.stack(found).sum(0)]
            pieces += found or [out.new_zeros(stop - start, *out.shape[1:])]
        added = torch.cat([piece.to(out.dtype) for piece in pieces])
        return out + (added if inverse is None else added.index_select(0, inverse))


def _cut(part: Part, first: int, last: int) -> Rows:
    up = part.up[first:last]
    return Rows(up, part.down, len(up), part.scale, part.dropout, part.training)


def dropped(x: Tensor, part: Part) -> Tensor:
    """An input as a part sees it: in training some of it is dropped."""
    return F.dropout(x, part.dropout) if part.training and part.dropout else x


def _runs(names: tuple[str | None, ...] | list[str | None]) -> Iterator[Run]:
    start = 0
    for name, group in groupby(names):
        stop = start + len(list(group))
        yield Run(name, start, stop)
        start = stop
