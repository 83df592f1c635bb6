"""Segments: the samples of a mixed batch that name one adapter, beside each other.

Segments of one length whose adapters are of like rank form a *stack*: the factors lie in one
tensor, the smaller padded with zeros to the largest rank, and one batched product serves all of
them. No factor is repeated and no sample padded. Nothing is done once for each adapter but reading
its factors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from autolora.lora.delta import version

_LEAST = 8  # ranks up to here cost about the same


class Part(Protocol):
    """What a product needs of a `LowRank`."""

    @property
    def up(self) -> Tensor: ...  # noqa: D102
    @property
    def down(self) -> Tensor: ...  # noqa: D102
    @property
    def rows(self) -> int: ...  # noqa: D102
    @property
    def rank(self) -> int: ...  # noqa: D102
    @property
    def scale(self) -> float: ...  # noqa: D102
    @property
    def dropout(self) -> float: ...  # noqa: D102
    @property
    def training(self) -> bool: ...  # noqa: D102


Names = Sequence[str | None]
Parts = tuple[tuple[int, Part], ...]  # with the first row of each


class Stack:
    """Segments of one length, and the factors of their adapters."""

    def __init__(self, parts: Sequence[Part], length: int) -> None:
        self.parts = tuple(parts)
        self.length = length
        self.samples = len(parts) * length
        ranks = [part.rank for part in parts]
        self.rank = max(ranks)
        self.dropout = parts[0].dropout if parts[0].training else 0.0
        self._missing = [self.rank - rank for rank in ranks]
        scales = [part.scale for part in parts]
        self._scale = scales[0] if len(set(scales)) == 1 else None
        if self._scale is None:
            self._scales = _constant(scales, parts[0].up.device, torch.float64)
        self._kept: dict[str, tuple[Any, Tensor, Any]] = {}

    def forget(self) -> None:
        """Gives back the memory of what is kept."""
        self._kept.clear()

    def up(self, dtype: torch.dtype, *, keep: bool) -> Tensor:
        """The `up` of each segment; with `keep` it is kept until one of them changes.

        Torch's version counters tell of changes in place.

        Shapes: (segments, rows, rank).
        """
        factors = tuple([part.up for part in self.parts])
        return self._get("up", factors, dtype) if keep else self._form("up", factors, dtype)

    def down(self, dtype: torch.dtype, *, keep: bool) -> Tensor:
        """The `down` of each segment, likewise.

        Shapes: (segments, rank, columns).
        """
        factors = tuple([part.down for part in self.parts])
        return self._get("down", factors, dtype) if keep else self._form("down", factors, dtype)

    def scaled(self, hidden: Tensor) -> Tensor:
        """What lies between the factors times the scale of each segment.

        Shapes: hidden and result (segments, …).
        """
        if self._scale is not None:
            return hidden if self._scale == 1 else hidden * self._scale
        return hidden * self._scales.to(hidden.dtype).view(-1, *(1,) * (hidden.ndim - 1))

    def dropped(self, x: Tensor) -> Tensor:
        """An input as its parts see it: in training some of it is dropped."""
        return F.dropout(x, self.dropout) if self.dropout else x

    def _get(self, which: str, factors: tuple[Tensor, ...], dtype: torch.dtype) -> Tensor:
        key = dtype, *map(id, factors), *map(version, factors)
        found = self._kept.get(which)
        if found is None or found[0] != key:  # the factors kept beside it keep their identities
            found = self._kept[which] = key, self._form(which, factors, dtype), factors
        return found[1]

    def _form(self, which: str, factors: tuple[Tensor, ...], dtype: torch.dtype) -> Tensor:
        if len(factors) == 1:
            return factors[0].to(dtype)[None]
        if which == "up":
            wide = torch.cat(self._padded(factors, 1), 1).to(dtype)
            return wide.view(len(wide), -1, self.rank).transpose(0, 1)
        tall = torch.cat(self._padded(factors, 0)).to(dtype)
        return tall.view(-1, self.rank, tall.shape[1])

    def _padded(self, factors: tuple[Tensor, ...], dimension: int) -> list[Tensor]:
        """The factors, each followed by the zeros that it lacks."""
        shape = list(factors[0].shape)
        shape[dimension] = max(self._missing)
        zeros, pieces = factors[0].new_zeros(shape), []
        pads = {m: [zeros.narrow(dimension, 0, m)] if m else [] for m in set(self._missing)}
        for factor, missing in zip(factors, self._missing, strict=True):
            pieces += [factor, *pads[missing]]
        return pieces


class Plan(NamedTuple):
    """The adapters of each stack, and the order that sorts the samples, with what undoes it.

    Samples without a delta come last. Both are None where the samples are sorted as they come.
    """

    stacks: tuple[tuple[str | None, ...], ...]
    order: Tensor | None
    inverse: Tensor | None


class Batch:
    """The samples of a mixed batch; weights whose adapters have alike ranks share a plan."""

    def __init__(self, names: Names) -> None:
        self.names = tuple(names)
        self.where: dict[str | None, list[int]] = {}
        for sample, name in enumerate(names):
            self.where.setdefault(name, []).append(sample)
        self._plans: dict[Any, Plan] = {}

    def plan(self, parts: Mapping[str | None, Part]) -> Plan:
        """How the samples of some adapters are cut into stacks."""
        kinds = [(name, _kind(part)) for name, part in parts.items()]
        device = next(iter(parts.values())).up.device
        key = device, tuple(kinds)
        if key not in self._plans:
            alike: dict[Any, list[str | None]] = {}
            for name, kind in kinds:
                alike.setdefault((kind, len(self.where[name])), []).append(name)
            stacks = tuple(map(tuple, alike.values()))
            self._plans[key] = Plan(stacks, *self._order(stacks, device))
        return self._plans[key]

    def _order(
        self, stacks: Sequence[Names], device: torch.device
    ) -> tuple[Tensor, Tensor] | tuple[None, None]:
        sorted_names = [name for stack in stacks for name in stack]
        sorted_names += [name for name in self.where if name not in sorted_names]
        order = [sample for name in sorted_names for sample in self.where[name]]
        if order == list(range(len(order))):
            return None, None
        inverse = sorted(range(len(order)), key=order.__getitem__)
        return _constant(order, device, torch.long), _constant(inverse, device, torch.long)


@dataclass(frozen=True)
class Lane:
    """All deltas of the same rows: the stacks they lie in, and the order of the samples."""

    first: int
    rows: int
    stacks: tuple[Stack, ...]
    order: Tensor | None
    inverse: Tensor | None


class Lanes:
    """The lanes of one weight, made once for a batch, and again when a setting changes."""

    def __init__(self, batch: Batch, parts: Mapping[str | None, Parts]) -> None:
        self.batch = batch
        self.parts = parts
        self._spans = _spans(parts)
        self._parts = [part for span in self._spans.values() for part in span.values()]
        self._state: Any = None
        self._made: tuple[Lane, ...] = ()

    @property
    def drops(self) -> bool:
        """Whether some part drops inputs now."""
        return any(part.dropout and part.training for part in self._parts)

    @property
    def dtype(self) -> torch.dtype:
        """The widest type of number of the factors; float32 if there are none."""
        types = [part.up.dtype for part in self._parts]
        return reduce(torch.promote_types, types) if types else torch.float32

    def forget(self) -> None:
        """Gives back the memory of what is kept."""
        for lane in self._made:
            for stack in lane.stacks:
                stack.forget()

    def get(self) -> tuple[Lane, ...]:
        """Them, as the scales and the dropout of their parts are now."""
        state = [(part.scale, part.dropout, part.training) for part in self._parts]
        if state != self._state:
            spans = self._spans.items()
            lanes = [_lane(first, rows, self.batch, span) for (first, rows, _), span in spans]
            self._state, self._made = state, tuple(lanes)
        return self._made


def _spans(parts: Mapping[str | None, Parts]) -> dict[tuple[int, int, int], dict[str | None, Part]]:
    """The parts by the rows they cover; a third number tells those of one adapter apart."""
    spans: dict[tuple[int, int, int], dict[str | None, Part]] = {}
    for name, found in parts.items():
        for first, part in found:
            number = 0
            while name in spans.setdefault((first, part.rows, number), {}):
                number += 1
            spans[first, part.rows, number][name] = part
    return spans


def _kind(part: Part) -> tuple[int, float]:
    """Parts of one kind share a stack: their ranks are within a factor of two, drops are alike."""
    return 1 << (max(part.rank, _LEAST) - 1).bit_length(), part.dropout * part.training


def _lane(first: int, rows: int, batch: Batch, parts: Mapping[str | None, Part]) -> Lane:
    plan = batch.plan(parts)
    stacks = [Stack([parts[n] for n in found], len(batch.where[found[0]])) for found in plan.stacks]
    return Lane(first, rows, tuple(stacks), plan.order, plan.inverse)


def _constant(values: Sequence[float], device: torch.device, dtype: torch.dtype) -> Tensor:
    """A tensor that may serve training later on, wherever it is made."""
    with torch.inference_mode(False):
        return torch.tensor(values, device=device, dtype=dtype)
