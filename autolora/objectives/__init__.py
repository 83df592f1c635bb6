"""Objectives: what an output should be, and how far it is from that; one file each.

A file offers `objective(…)`, an `Objective` of `training/supervised.py`, and `ANSWERS`, what
a model answers with: labels, pixels, numbers, texts, or nothing but tokens one by one.
"""

import sys
from typing import Any

from torch import Tensor

from autolora.registry import load


def logits(output: Any) -> Tensor:
    """The scores in an output, in float32: the output itself, or the `logits` of transformers'."""
    scores: Tensor = output if isinstance(output, Tensor) else output.logits
    return scores.float()


def answers(name: str) -> str:
    """What a model answers with under the objective of a name.

    >>> answers("regression")
    'numbers'
    """
    return str(load(sys.modules[__name__], name).ANSWERS)
