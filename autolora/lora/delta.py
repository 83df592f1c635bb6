"""All deltas of one parameter, and the child of a layer that holds them."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autolora.errors import AssignedBase
from autolora.lora.ended import Ended
from autolora.lora.layout import Layout
from autolora.lora.low_rank import LowRank


class Factors(NamedTuple):
    """A delta as one product: scale · up · down.

    Shapes: up (rows, rank); down (rank, columns).
    """

    up: Tensor
    down: Tensor
    scale: float

    def to(self, dtype: torch.dtype) -> "Factors":
        """The same in another type of number."""
        return Factors(self.up.to(dtype), self.down.to(dtype), self.scale)

    def product(self) -> Tensor:
        """The delta as a matrix.

        Shapes: (rows, columns).
        """
        return self.up @ _scaled(self.down, self.scale)


Parts = Sequence[tuple[int, LowRank]]  # with the first row of each


class Delta(nn.Module):
    """All deltas of one parameter: those of its blocks, of every adapter.

    It has the face of a single pair of factors, so that no product needs to know of blocks or of
    several adapters.

    Shapes: the matrix has `rows` rows and `columns` columns; `layout` says how it lies in the
    parameter.
    """

    def __init__(self, rows: int, columns: int, layout: Layout = "flat") -> None:
        super().__init__()
        self.rows = rows
        self.columns = columns
        self.layout: Layout = layout
        self.first_rows: dict[str, int] = {}
        self._route: Any = None
        self.ended_routes: Ended | None = None
        self.kept: Kept | None = None  # set by `cached`: the sum, formed once

    @property
    def route(self) -> Any:
        """Which adapter each sample of the batch names: set by `mixed`, None out of a mixed batch.

        What a backward pass computes anew takes the route that it had.
        """
        if self._route is not None or self.ended_routes is None or torch.compiler.is_compiling():
            return self._route
        return self.ended_routes.route()

    @route.setter
    def route(self, route: Any) -> None:
        self._route = route

    def put(self, key: str, part: LowRank, first_row: int) -> None:
        """Adds the delta of a block that starts at a row of the matrix."""
        self.first_rows[key] = first_row
        self.add_module(key, part)

    def drop(self, key: str) -> None:
        """Takes one delta away."""
        del self.first_rows[key]
        del self._modules[key]

    def parts(self) -> dict[str, LowRank]:
        """The single deltas by key."""
        parts = self._modules
        return {key: parts[key] for key in self.first_rows}  # type: ignore[misc]

    def active(self, within: tuple[int, int] | None = None) -> list[tuple[int, LowRank]]:
        """The deltas that take part now, each with its first row; those that touch some rows."""
        first_row, last = within or (0, self.rows)
        parts = self._modules  # a name of its own, for the compiler does not see `self` within
        found = []
        for key, first in self.first_rows.items():
            part = parts[key]
            assert isinstance(part, LowRank)
            if part.share and first < last and first_row < first + part.rows:
                found.append((first, part))
        return found

    @property
    def rank(self) -> int:
        """The ranks of all active parts, added; 0 if there is none."""
        return sum(part.rank for _, part in self.active())

    @property
    def dropout(self) -> float | None:
        """The probability that all parts drop an input with now; None where they differ."""
        return dropout_of(self.active())

    def factors(self, active: Parts | None = None) -> Factors:
        """One pair whose product is the whole delta, without dropout."""
        active = self.active() if active is None else active
        if len(active) == 1 and active[0][1].rows == self.rows:
            part = active[0][1]
            return Factors(part.up, part.down, part.strength)
        rows = self.rows
        ups = [placed(part.up, first, rows) for first, part in active]
        downs = [_scaled(part.down, part.strength) for _, part in active]
        return Factors(torch.cat(ups, 1), torch.cat(downs), 1.0)

    def single(self) -> Factors | None:
        """The one pair that is the whole delta, laid flat and without dropout; None otherwise."""
        active = self.active()
        if len(active) != 1 or self.layout != "flat":
            return None
        part = active[0][1]
        whole = part.rows == self.rows and not (part.training and part.dropout)
        return Factors(part.up, part.down, part.strength) if whole else None

    def matrix(
        self, dtype: torch.dtype, *, dropped: bool = False, within: tuple[int, int] | None = None
    ) -> Tensor:
        """The whole delta, or its rows from one to another, block by block.

        With `dropped`, columns of `down` are dropped as training asks: the form that dropout
        of the input takes where the input is out of reach (docs/decisions/0004).

        Shapes: (rows, columns).
        """
        row, last = within or (0, self.rows)
        blocks: dict[tuple[int, int], list[LowRank]] = {}
        for first, part in self.active((row, last)):
            blocks.setdefault((first, part.rows), []).append(part)
        placed = sorted(blocks.items())
        if within is None and _overlap([span for span, _ in placed]):
            return self._added(dtype, dropped=dropped)
        pieces = []
        for (first, rows), parts in placed:
            piece = _product(parts, dtype, dropped=dropped)
            pieces += [piece.new_zeros(first - row, self.columns)] if first > row else []
            pieces.append(piece)
            row = first + rows
        if row < last:
            pieces.append(_zeros(self, dtype, last - row))
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def _added(self, dtype: torch.dtype, *, dropped: bool) -> Tensor:
        """The whole delta where a part covers the blocks of others."""
        whole = _zeros(self, dtype, self.rows)
        for first, part in self.active():
            piece = _product([part], dtype, dropped=dropped)
            whole = whole + F.pad(piece, (0, 0, first, self.rows - first - part.rows))
        return whole


def dropout_of(parts: Parts) -> float | None:
    """The probability that all parts drop an input with now; None where they differ."""
    rates = {part.dropout if part.training else 0.0 for _, part in parts}
    return rates.pop() if len(rates) == 1 else None


class Kept:
    """The sum of a base and its delta, kept until one of them changes.

    Torch's version counters tell of changes in place; edits through `.data` do not count there.
    """

    def __init__(self) -> None:
        self._key: tuple[Any, ...] = ()
        self._sum: Tensor | None = None
        self._alive: tuple[Tensor, ...] = ()  # so that no identity is given to another tensor

    def get(self, form: Callable[[], Tensor], base: Tensor, delta: Delta) -> Tensor:
        """The sum as it was formed, or formed anew."""
        parts = [part for _, part in delta.active()]
        tensors = (base, *(t for part in parts for t in (part.up, part.down)))
        state = tuple((p.strength, p.training, p.dropout) for p in parts)
        key = (torch.is_grad_enabled(), state, *((id(t), version(t)) for t in tensors))
        if self._sum is None or key != self._key:
            self._key, self._sum, self._alive = key, form(), tensors
        return self._sum


class Lora(nn.Module):
    """The child of an adapted layer that holds a `Delta` for each adapted parameter."""

    def deltas(self) -> dict[str, Delta]:
        """The deltas by parameter name."""
        return {name: d for name, d in self._modules.items() if isinstance(d, Delta)}

    def _load_from_state_dict(self, *args: Any) -> None:
        """Called by torch just after the layer's own parameters were loaded."""
        if args[2].get("assign_to_params_buffers"):
            raise AssignedBase
        super()._load_from_state_dict(*args)


def _overlap(spans: Sequence[tuple[int, int]]) -> bool:
    return any(a + rows > b for (a, rows), (b, _) in pairwise(spans))


def _zeros(delta: Delta, dtype: torch.dtype, rows: int) -> Tensor:
    up = delta.active()[0][1].up
    return torch.zeros(rows, delta.columns, dtype=dtype, device=up.device)


def version(tensor: Tensor) -> int:
    """How often a tensor was changed in place; torch counts it for no inference tensor."""
    return 0 if tensor.is_inference() else tensor._version


def placed(up: Tensor, first: int, rows: int) -> Tensor:
    """The `up` of a block as one of the whole matrix: zero in all other rows."""
    below = rows - first - len(up)
    return F.pad(up, (0, 0, first, below)) if first or below else up


def _scaled(down: Tensor, scale: float) -> Tensor:
    return down if scale == 1 else down * scale


def _product(parts: Sequence[LowRank], dtype: torch.dtype, *, dropped: bool) -> Tensor:
    """The sum of deltas of one block, as a single product."""
    downs = [_dropped(part) if dropped else part.down for part in parts]
    if len(parts) == 1:
        return Factors(parts[0].up, downs[0], parts[0].strength).to(dtype).product()
    scaled = [_scaled(d, part.strength) for d, part in zip(downs, parts, strict=True)]
    up, down = torch.cat([part.up for part in parts], 1), torch.cat(scaled)
    return Factors(up, down, 1.0).to(dtype).product()


def _dropped(part: LowRank) -> Tensor:
    if not (part.training and part.dropout):
        return part.down
    return part.down * F.dropout(torch.ones_like(part.down[:1]), part.dropout)
