"""Objectives: what an output should be, and how far it is from that; one file each.

A file offers `objective(…)`, an `Objective` of `training/supervised.py`.
"""

from typing import Any

from torch import Tensor


def logits(output: Any) -> Tensor:
    """The scores in an output, in float32: the output itself, or the `logits` of transformers'."""
    scores: Tensor = output if isinstance(output, Tensor) else output.logits
    return scores.float()
