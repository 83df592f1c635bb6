"""Train, valid and test: disjoint, stratified, decided by a seed."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from autolora.errors import TooFewExamples

Indices = NDArray[np.int64]


def split(
    labels: NDArray[np.integer], contents: NDArray[np.uint8], sizes: Mapping[str, int], seed: int
) -> dict[str, Indices]:
    """Disjoint sets of examples with the classes in the proportions of the whole.

    Examples with equal contents count as one: only the first of them is used, so that no copy of
    a training example is ever measured. Sizes are exact; classes differ from their share by less
    than one example.

    Args:
        labels: The class of each example.
        contents: What tells examples apart, byte for byte.
        sizes: How many examples each set holds, by name, in the order in which they are dealt.
        seed: Decides which examples; other sizes may deal other examples.

    Shapes: labels (examples,); contents (examples, …); results (size,), in random order.

    Raises:
        TooFewExamples: if the sizes ask for more distinct examples than there are.

    >>> labels = np.array([0, 1] * 4)
    >>> contents = np.arange(8, dtype=np.uint8)[:, None]
    >>> sets = split(labels, contents, {"train": 4, "test": 2}, seed=0)
    >>> [np.bincount(labels[indices]).tolist() for indices in sets.values()]
    [[2, 2], [1, 1]]
    """
    distinct = first_of_equals(contents)
    if sum(sizes.values()) > len(distinct):
        raise TooFewExamples(sizes, len(distinct))
    generator = np.random.default_rng(seed)
    left = [
        generator.permutation(distinct[labels[distinct] == label]) for label in np.unique(labels)
    ]
    dealt = {}
    for name, size in sizes.items():
        counts = _shares(np.array([len(indices) for indices in left]), size)
        taken = [indices[:count] for indices, count in zip(left, counts, strict=True)]
        left = [indices[count:] for indices, count in zip(left, counts, strict=True)]
        dealt[name] = generator.permutation(np.concatenate(taken))
    return dealt


def first_of_equals(contents: NDArray[np.uint8]) -> Indices:
    """The examples that are no copy of an earlier one, in their order.

    >>> first_of_equals(np.array([[1], [2], [1]], dtype=np.uint8)).tolist()
    [0, 1]
    """
    seen: dict[bytes, int] = {}
    for index, content in enumerate(contents):
        seen.setdefault(content.tobytes(), index)
    return np.fromiter(seen.values(), dtype=np.int64, count=len(seen))


def _shares(available: Indices, size: int) -> Indices:
    """`size` dealt over the classes in proportion to what is available (largest remainder)."""
    exact = available * (size / max(1, available.sum()))
    counts: Indices = np.floor(exact).astype(np.int64)
    order = np.argsort(counts - exact, kind="stable")
    counts[order[: size - counts.sum()]] += 1
    return counts
