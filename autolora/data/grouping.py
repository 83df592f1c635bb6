"""Which split each group goes to, where the examples of a group stay together."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

_ENOUGH = 0.02  # of a split missing: no better assignment is looked for
_ORDERS = 8


def assigned(
    strata: Numbers, groups: Numbers, sizes: Numbers, generator: np.random.Generator
) -> Numbers:
    """The split of each group, so that every split holds what it should, class by class.

    Every group is assigned, so that a split takes its examples from as many groups as it can.
    Groups go one by one, large ones first, to the split that lacks most of what they hold; of
    several orders the one whose worst split lacks least wins.

    Shapes: strata and groups (examples,), numbered from 0; sizes (splits,); result (groups,).
    """
    histograms = np.zeros((groups.max() + 1, strata.max() + 1), dtype=np.int64)
    np.add.at(histograms, (groups, strata), 1)
    best, lack = None, np.inf
    for candidate in _candidates(histograms, sizes, generator):
        held = np.bincount(candidate, weights=histograms.sum(1), minlength=len(sizes))
        worst = np.max(1 - held / sizes)
        if best is None or worst < lack:
            best, lack = candidate, worst
        if lack <= _ENOUGH:
            break
    assert best is not None
    return best


def _candidates(
    histograms: Numbers, sizes: Numbers, generator: np.random.Generator
) -> Iterator[Numbers]:
    for _ in range(_ORDERS):
        order = generator.permutation(len(histograms))
        order = order[np.argsort(-histograms.sum(1)[order], kind="stable")]
        for weights in (np.ones(len(sizes)), 1 / sizes):
            yield _greedy(histograms, sizes, order, weights)


def _greedy(
    histograms: Numbers, sizes: Numbers, order: Numbers, weights: NDArray[np.float64]
) -> Numbers:
    """One assignment; `weights` decides between splits that lack the same.

    Giving group h to a split that lacks d of each class lowers the sum of d² by 2 d·h - h·h: the
    best split is that with the largest d·h. Classes count against their frequency (chi-squared).
    """
    frequency = histograms.sum(0)
    scale = np.divide(1.0, frequency, out=np.zeros(len(frequency)), where=frequency > 0)
    lacking = np.outer(sizes / sizes.sum(), frequency)
    result = np.empty(len(histograms), dtype=np.int64)
    for group in order:
        chosen = int(np.argmax(weights * (lacking @ (histograms[group] * scale))))
        result[group] = chosen
        lacking[chosen] -= histograms[group]
    return result
