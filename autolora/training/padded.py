"""Examples of different lengths, padded at the end batch by batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from autolora.training.batch import Batch


@dataclass(frozen=True)
class Padded:
    """Sequences by the names under which a model reads them.

    Attributes:
        inputs: One tensor an example, whose first dimension is what differs in length.
        targets: One tensor an example as well, or a single one with the examples along its first
            dimension.
        weights: How much each example counts.
        padding: The value behind the end of an input, and of targets under "targets"; otherwise 0.

    Shapes: weights (examples,).
    """

    inputs: Mapping[str, Sequence[Tensor]]
    targets: Tensor | Sequence[Tensor]
    weights: Tensor
    padding: Mapping[str, float] = field(default_factory=dict)
    lengths: Tensor = field(init=False)

    def __post_init__(self) -> None:
        first = next(iter(self.inputs.values()))
        object.__setattr__(self, "lengths", torch.tensor([len(each) for each in first]))

    def __len__(self) -> int:
        return len(self.weights)

    def batch(self, indices: Tensor, augment: torch.Generator | None) -> Batch:
        """Some examples side by side, as long as the longest; never changed at random.

        `Batch.lengths` are those of the first input.
        """
        del augment
        inputs = {name: self._padded(name, rows, indices) for name, rows in self.inputs.items()}
        if isinstance(self.targets, Tensor):
            targets = self.targets[indices]
        else:
            targets = self._padded("targets", self.targets, indices)
        return Batch(inputs, targets, indices, self.weights[indices], self.lengths[indices])

    def _padded(self, name: str, rows: Sequence[Tensor], indices: Tensor) -> Tensor:
        some = [rows[index] for index in indices.tolist()]
        return pad_sequence(some, batch_first=True, padding_value=self.padding.get(name, 0))
