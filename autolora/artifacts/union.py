"""What several adapters of one base have in common, checked before their deltas are combined."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import torch
from torch import Tensor

from autolora.artifacts.adapter import Adapter
from autolora.artifacts.fingerprint import Fingerprint
from autolora.artifacts.resize import finite
from autolora.artifacts.source import Source, opened
from autolora.errors import DifferentBases, NothingToCombine, OutOfRange, TrainedTwice
from autolora.lora.factors import Pair
from autolora.lora.targets import Target

Weighted = Mapping[str | Path, float] | Iterable[Source | tuple[Source, float]] | Source


@dataclass(frozen=True)
class Union:
    """Adapters with their weights, and an adapter without deltas that all of theirs fit into."""

    members: tuple[tuple[Adapter, float], ...]
    frame: Adapter

    def parts(self, target: str) -> list[tuple[Pair, float]]:
        """The factors that the members have at a target, each with weight times scale."""
        return [
            (adapter.factors[target], weight * adapter.scales[target])
            for adapter, weight in self.members
            if target in adapter.factors
        ]

    def deltas(self, target: str) -> list[tuple[Tensor, float]]:
        """The dense deltas that the members have at a target, in float64, with their weights.

        Shapes: each (rows, columns).
        """
        return [
            (adapter.scales[target] * (up.double() @ down.double()), weight)
            for adapter, weight in self.members
            if target in adapter.factors
            for up, down in (adapter.factors[target],)
        ]

    def dtype(self, target: str) -> torch.dtype:
        """The widest type of the members' factors."""
        dtype = torch.float32
        for (up, _), _ in self.parts(target):
            dtype = torch.promote_types(dtype, up.dtype)
        return dtype


def union(adapters: Weighted) -> Union:
    """Adapters as they were given, with a weight each; a weight of 0 leaves one out.

    Raises:
        NothingToCombine: if none is left.
        OutOfRange: if a weight is not finite.
        DifferentBases: if they do not belong to one base.
        TrainedTwice: if several trained a parameter in full, to different values.
        NotFinite: if factors diverged.
    """
    members = tuple((opened(source), weight) for source, weight in _weighted(adapters) if weight)
    if not members:
        raise NothingToCombine
    for name, up, down in ((n, *pair) for a, _ in members for n, pair in a.factors.items()):
        finite(up, name)
        finite(down, name)
    alone = [adapter for adapter, _ in members]
    return Union(members, _frame(alone))


def _frame(adapters: Sequence[Adapter]) -> Adapter:
    base = _base(adapters)  # the first to be checked: other bases explain every other difference
    return Adapter(
        targets=_targets(adapters),
        factors={},
        scales={},
        full=_full(adapters),
        layers={path: layer for a in adapters for path, layer in a.layers.items()},
        base=base,
    )


def _weighted(adapters: Weighted) -> list[tuple[Source, float]]:
    if isinstance(adapters, (Adapter, str, Path)):
        adapters = [adapters]
    given = adapters.items() if isinstance(adapters, Mapping) else adapters
    found = [one if isinstance(one, tuple) else (one, 1.0) for one in given]
    for _, weight in found:
        if not math.isfinite(weight):
            raise OutOfRange("the weight", weight, "a finite number, such as 0.7")
    return found


def _targets(adapters: Sequence[Adapter]) -> dict[str, Target]:
    """The union of targets; those of one name must be the same matrix."""
    found: dict[str, Target] = {}
    for target in (target for adapter in adapters for target in adapter.targets.values()):
        first = found.setdefault(target.name, target)
        if _place(first) != _place(target):
            sizes = f"{first.rows} × {first.columns} and {target.rows} × {target.columns}"
            same = (first.rows, first.columns) == (target.rows, target.columns)
            raise DifferentBases(f"{target.name} {'lies elsewhere' if same else f'is {sizes}'}")
    return found


def _place(target: Target) -> tuple[int, int, int, str]:
    return target.rows, target.columns, target.first_row, target.layout


def _full(adapters: Sequence[Adapter]) -> dict[str, Tensor]:
    """The parameters trained in full; they are values, not deltas, and nothing adds them up."""
    found: dict[str, Tensor] = {}
    for name, value in (item for adapter in adapters for item in adapter.full.items()):
        if not torch.equal(found.setdefault(name, value), value):
            raise TrainedTwice(name)
    return found


def _base(adapters: Sequence[Adapter]) -> Fingerprint | None:
    """The fingerprint of the common base, without what any of the adapters trained in full.

    It is unknown where each adapter leaves out other parameters.
    """
    known = [(a.base, set(a.full)) for a in adapters if a.base is not None]
    for (first, trained), (other, also) in combinations(known, 2):
        _check_equal(first, other, trained | also)
    everything = {name for adapter in adapters for name in adapter.full}
    return next((base for base, trained in known if trained == everything), None)


def _check_equal(first: Fingerprint, other: Fingerprint, trained: set[str]) -> None:
    for one, two in ((first, other), (other, first)):
        for name, (shape, _) in one.parameters.items():
            if name in trained:
                continue
            if name not in two.parameters:
                raise DifferentBases(f"only one has a parameter {name}")
            if shape != two.parameters[name][0]:
                raise DifferentBases(f"{name} is {shape} and {two.parameters[name][0]}")
    # Digests of other types of numbers, or over other parameters, cannot be compared.
    if first.parameters == other.parameters and first.digest != other.digest:
        raise DifferentBases("names and shapes are equal but the values differ")
