"""A batch: examples that go through the model together."""

from collections.abc import Iterator
from operator import itemgetter
from typing import Any, NamedTuple

from torch import Tensor
from torch.utils._pytree import tree_map_only


class Batch(NamedTuple):
    """Examples side by side; every tensor in it has them along its first dimension.

    A named tuple, so that torch moves and slices it as any tree of tensors.

    Attributes:
        inputs: What the model reads, any tree of tensors.
        targets: What the objective compares with, any tree of tensors.
        examples: The positions of the examples in their split.
        weights: How much each example counts in the mean loss: 1, its class weight, or how many
            tokens it predicts.
        lengths: How many steps of each example are no padding; None where nothing is padded.

    Shapes: examples, weights, lengths (batch,).
    """

    inputs: Any
    targets: Any
    examples: Tensor
    weights: Tensor
    lengths: Tensor | None = None

    def parts(self, count: int) -> Iterator["Batch"]:
        """The batch in at most `count` smaller ones, in order: for accumulated gradients."""
        total = len(self.examples)
        size = -(-total // count)
        for start in range(0, total, size):
            yield tree_map_only(Tensor, itemgetter(slice(start, start + size)), self)


def mean_loss(losses: Tensor, weights: Tensor) -> Tensor:
    """The mean of the losses of examples, each by its weight.

    Shapes: losses, weights (batch,); result ().
    """
    weights = weights.to(losses.dtype)
    return (losses * weights).sum() / weights.sum()
