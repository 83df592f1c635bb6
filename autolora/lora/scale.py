"""How the number that multiplies the product follows from the rank.

One adapter keeps one rule for all its targets, so that rank and step size are not confused:
see docs/decisions/0003-scale-rule.md.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

ScaleRule = Callable[[int], float]


@dataclass(frozen=True)
class Constant:
    """The same scale at every rank.

    >>> Constant(2.0)(16)
    2.0
    """

    value: float = 1.0

    def __call__(self, rank: int) -> float:
        """The scale at a rank."""
        del rank
        return self.value


@dataclass(frozen=True)
class AlphaOverRank:
    """α / r. Source: Hu et al. 2021, section 4.1.

    >>> AlphaOverRank(16)(8)
    2.0
    """

    alpha: float = 8.0

    def __call__(self, rank: int) -> float:
        """The scale at a rank."""
        return self.alpha / rank


@dataclass(frozen=True)
class AlphaOverRootRank:
    """α / √r. Source: Kalajdzievski 2023 (rsLoRA), theorem 3.2.

    >>> AlphaOverRootRank(8)(16)
    2.0
    """

    alpha: float = 8.0

    def __call__(self, rank: int) -> float:
        """The scale at a rank."""
        return self.alpha / math.sqrt(rank)


RULES: dict[str, Callable[[float], ScaleRule]] = {
    "constant": Constant,
    "alpha_over_rank": AlphaOverRank,
    "alpha_over_root_rank": AlphaOverRootRank,
}
