"""Paired tests over cells and seeds, with Holm's correction, and mean ranks.

A block is a cell at a seed. What is compared there is the logarithm of the test loss, so that tasks
of any scale count the same.
"""

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata, studentized_range

Block = tuple[str, int]
_EXACT = 14  # blocks whose signs are all flipped in turn; more are drawn
_DRAWS = 20_000


@dataclass(frozen=True)
class Against:
    """An arm against a reference over the blocks that both have.

    Attributes:
        ratio: The geometric mean of its test loss by the reference's.
        p: Of the two-sided sign-flip test of a zero mean difference of logarithms.
        holm: The same, corrected for the number of arms.
    """

    arm: str
    blocks: int
    ratio: float
    p: float
    holm: float


def losses(stored: Sequence[Mapping[str, Any]]) -> dict[str, dict[Block, float]]:
    """Test losses by arm and block; failed runs have none."""
    found: dict[str, dict[Block, float]] = {}
    for row in stored:
        if "test" in row:
            found.setdefault(row["arm"], {})[row["cell"], row["seed"]] = row["test"]["loss"]
    return found


def against(stored: Sequence[Mapping[str, Any]], reference: str) -> list[Against]:
    """Every arm against one, from the lowest p.

    Source: Fisher 1935 (randomisation of signs); Holm 1979.
    """
    known = losses(stored)
    mine = known.get(reference, {})
    found = []
    for arm, theirs in known.items():
        shared = sorted(set(mine) & set(theirs))
        if arm != reference and len(shared) > 1:
            logs = [math.log(theirs[block] / mine[block]) for block in shared]
            ratio = math.exp(statistics.fmean(logs))
            found.append((arm, len(shared), ratio, sign_flips(logs)))
    found.sort(key=lambda each: each[3])
    corrected = holm([p for *_, p in found])
    return [Against(*each, q) for each, q in zip(found, corrected, strict=True)]


def sign_flips(differences: Sequence[float]) -> float:
    """The two-sided p of a mean difference, by flipping the signs of paired differences.

    >>> sign_flips([1.0, 2.0, 3.0])
    0.25
    """
    values = np.asarray(differences, dtype=float)
    if len(values) <= _EXACT:
        signs = np.array(list(itertools.product((1, -1), repeat=len(values))))
    else:
        drawn = np.random.default_rng(0).choice((1, -1), (_DRAWS - 1, len(values)))
        signs = np.vstack((np.ones(len(values)), drawn))
    flipped = np.abs(signs @ values)
    return float((flipped >= abs(values.sum()) * (1 - 1e-9)).mean())


def holm(sorted_ps: Sequence[float]) -> list[float]:
    """Corrected values of ascending ones.

    >>> holm([0.01, 0.04, 0.03][:2])
    [0.02, 0.04]
    """
    found, highest = [], 0.0
    for i, p in enumerate(sorted_ps):
        highest = max(highest, min(1.0, p * (len(sorted_ps) - i)))
        found.append(highest)
    return found


@dataclass(frozen=True)
class Ranks:
    """Mean ranks (1 is the best) over the blocks that all arms have, from the best.

    `critical` is Nemenyi's difference at 0.05: arms closer than that cannot be told apart.
    """

    means: tuple[tuple[str, float], ...]
    blocks: int
    critical: float


def ranks(stored: Sequence[Mapping[str, Any]], arms: Sequence[str]) -> Ranks | None:
    """Mean ranks of some arms; None with fewer than two blocks or arms.

    Source: Demšar 2006, section 3.2.2.
    """
    known = {arm: of for arm, of in losses(stored).items() if arm in arms}
    if len(known) < 2:
        return None
    shared = sorted(set.intersection(*(set(of) for of in known.values())))
    if len(shared) < 2:
        return None
    table = np.array([[known[arm][block] for arm in known] for block in shared])
    means = rankdata(table, axis=1).mean(axis=0)
    quantile = studentized_range.ppf(0.95, len(known), np.inf) / math.sqrt(2)
    critical = quantile * math.sqrt(len(known) * (len(known) + 1) / (6 * len(shared)))
    ordered = sorted(zip(known, map(float, means), strict=True), key=lambda each: each[1])
    return Ranks(tuple(ordered), len(shared), float(critical))
