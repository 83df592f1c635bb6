"""Train, valid and test: disjoint, stratified, decided by a seed."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autolora.data.grouping import assigned
from autolora.errors import TooFewExamples, TooFewGroups

Indices = NDArray[np.int64]

_RARE = 3  # of fewer examples than splits no class can be dealt: such classes count as one
_SHORT = 0.5  # of what a split should hold, may be missing where groups are kept together


@dataclass(frozen=True)
class Pool:
    """The examples that splits are dealt from.

    Attributes:
        labels: What is dealt in proportion.
        contents: What tells examples apart.
        groups: What must lie in one split.

    Shapes: each (examples,).
    """

    labels: Sequence[Hashable]
    contents: Sequence[bytes]
    groups: Sequence[str] | None = None


def deal(pool: Pool, sizes: Mapping[str, int | float | None], seed: int) -> dict[str, Indices]:
    """Disjoint sets of examples with the classes in the proportions of the whole.

    Examples with equal contents count as one: only the first of them is used, so that no copy of
    a training example is ever measured. Sizes are exact, classes differ from their share by less
    than one example; with groups both are as near as the groups allow. A share is one of the
    distinct examples, None is what the others leave.

    Raises:
        TooFewExamples: if the sizes ask for more distinct examples than there are.
        TooFewGroups: if some set would hold less than half of what it should.

    >>> pool = Pool("abab" * 2, [bytes([i]) for i in range(8)])
    >>> sets = deal(pool, {"train": None, "test": 0.25}, seed=0)
    >>> ["".join(sorted(pool.labels[i] for i in indices)) for indices in sets.values()]
    ['aaabbb', 'ab']
    """
    distinct = _first_of_equals(pool.contents)
    counts = _counts(sizes, len(distinct))
    strata = _strata([pool.labels[i] for i in distinct])
    generator = np.random.default_rng(seed)
    if pool.groups is None:
        dealt = _dealt(strata, counts, generator)
    else:
        dealt = _dealt_by_group(strata, [pool.groups[i] for i in distinct], counts, generator)
    return {name: distinct[indices] for name, indices in dealt.items()}


def split(
    labels: NDArray[np.integer], contents: NDArray[np.uint8], sizes: Mapping[str, int], seed: int
) -> dict[str, Indices]:
    """`deal` for examples in memory, whose contents are compared byte for byte."""
    pool = Pool(labels.tolist(), [content.tobytes() for content in contents])
    return deal(pool, sizes, seed)


def _first_of_equals(contents: Sequence[bytes]) -> Indices:
    """The examples that are no copy of an earlier one, in their order."""
    seen: dict[bytes, int] = {}
    for index, content in enumerate(contents):
        seen.setdefault(content, index)
    return np.fromiter(seen.values(), dtype=np.int64, count=len(seen))


def _counts(sizes: Mapping[str, int | float | None], available: int) -> dict[str, int]:
    """Sizes as counts of examples; shares that sum to one leave nothing."""
    counts = {
        name: max(1, int(size * available + 1e-9)) if isinstance(size, float) else size
        for name, size in sizes.items()
    }
    rest = next((name for name, size in sizes.items() if size is None), None)
    shares = [size for size in sizes.values() if isinstance(size, float)]
    if rest is None and len(shares) == len(sizes) and abs(sum(shares) - 1) < 1e-9:
        rest = next(iter(sizes))
    if rest is not None:
        others = sum(count for name, count in counts.items() if name != rest and count)
        counts[rest] = max(1, available - others)
    asked = {name: count for name, count in counts.items() if count is not None}
    if sum(asked.values()) > available:
        raise TooFewExamples(asked, available)
    return asked


def _strata(labels: Sequence[Hashable]) -> Indices:
    """The number of each example's class, in the order of the classes; rare ones share one."""
    names, codes, sizes = np.unique(_comparable(labels), return_inverse=True, return_counts=True)
    rare = sizes < _RARE
    numbers = np.where(rare, len(names), np.arange(len(names)))
    strata: Indices = numbers[codes].astype(np.int64)
    return strata


def _comparable(labels: Sequence[Hashable]) -> NDArray[np.int64]:
    known = sorted(set(labels))  # type: ignore[type-var]  # labels of one column are of one type
    order = {label: number for number, label in enumerate(known)}
    return np.array([order[label] for label in labels], dtype=np.int64)


def _dealt(
    strata: Indices, counts: Mapping[str, int], generator: np.random.Generator
) -> dict[str, Indices]:
    left = [generator.permutation(np.flatnonzero(strata == s)) for s in np.unique(strata)]
    dealt = {}
    for name, size in counts.items():
        taken = _shares(np.array([len(indices) for indices in left]), size)
        parts = [indices[:count] for indices, count in zip(left, taken, strict=True)]
        left = [indices[count:] for indices, count in zip(left, taken, strict=True)]
        dealt[name] = generator.permutation(np.concatenate(parts))
    return dealt


def _dealt_by_group(
    strata: Indices,
    groups: Sequence[str],
    counts: Mapping[str, int],
    generator: np.random.Generator,
) -> dict[str, Indices]:
    """Whole groups go to the splits, and each takes of its own what it asks for."""
    codes = _comparable(groups)
    sizes = np.array(list(counts.values()))
    chosen = assigned(strata, codes, sizes, generator)[codes]
    held = np.bincount(chosen, minlength=len(sizes))
    if np.any(held < _SHORT * sizes):
        nearest = dict(zip(counts, held.tolist(), strict=True))
        raise TooFewGroups(int(codes.max()) + 1, counts, nearest)
    dealt = {}
    for number, (name, size) in enumerate(counts.items()):
        members = np.flatnonzero(chosen == number)
        some = _dealt(strata[members], {name: min(size, len(members))}, generator)
        dealt[name] = members[some[name]]
    return dealt


def _shares(available: Indices, size: int) -> Indices:
    """`size` dealt over the classes in proportion to what is available (largest remainder)."""
    exact = available * (size / max(1, available.sum()))
    counts: Indices = np.floor(exact).astype(np.int64)
    order = np.argsort(counts - exact, kind="stable")
    counts[order[: size - counts.sum()]] += 1
    return counts
