"""Kept activations of a split: one row an example, in memory or in a file mapped into it."""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from autolora.training.batch import Batch


@dataclass(frozen=True)
class Layout:
    """How one activation is laid out.

    Attributes:
        shape: Of one example; without the steps, where it is padded.
        padded: Whether dimension 1 runs over the steps that `Batch.lengths` counts.
        order: The dimensions behind the first as they lie in memory, the slowest first: what a
            convolution gave channels last comes back channels last.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    padded: bool
    order: tuple[int, ...]

    @classmethod
    def of(cls, activation: Tensor, steps: int | None) -> "Layout":
        """The layout of an activation of a batch whose examples are padded to `steps`."""
        behind = range(1, activation.ndim)
        if activation.ndim > 1 and activation.shape[1] == steps:
            return cls(tuple(activation.shape[2:]), activation.dtype, True, tuple(behind))
        strides: tuple[int, ...] = activation.stride()
        order = tuple(sorted(behind, key=lambda d: -strides[d]))
        return cls(tuple(activation.shape[1:]), activation.dtype, False, order)

    @property
    def bytes(self) -> int:
        """Of one example, or of one step of it."""
        return math.prod(self.shape) * self.dtype.itemsize

    def whole(self, examples: int, steps: int | None) -> tuple[int, ...]:
        """The shape of a batch of examples."""
        return (examples, steps or 0, *self.shape) if self.padded else (examples, *self.shape)


def padded_steps(batch: Batch) -> int | None:
    """What the examples of a batch are padded to, read from its inputs; None without lengths."""
    if batch.lengths is None:
        return None
    longest = int(batch.lengths.max())
    sizes = [
        leaf.shape[1]
        for leaf in tree_leaves(batch.inputs)
        if isinstance(leaf, Tensor) and leaf.ndim > 1 and leaf.shape[1] >= longest
    ]
    return min(sizes, default=None)


class Kept:
    """Rows of one activation; padding is not kept.

    Args:
        layout: How the activation is laid out.
        lengths: How many steps each example has.
        folder: Where the file lies; memory without one. It has no name: it goes with the process.

    Shapes: lengths (examples,).
    """

    def __init__(self, layout: Layout, lengths: Tensor, folder: Path | None) -> None:
        self.layout = layout
        self._lengths = lengths if layout.padded else torch.ones_like(lengths)
        self._first = self._lengths.cumsum(0) - self._lengths
        shape = layout.shape if layout.padded else [layout.shape[d - 1] for d in layout.order]
        self._rows = _empty([int(self._lengths.sum()), *shape], layout.dtype, folder)

    def write(self, examples: Tensor, activation: Tensor) -> None:
        """Keeps the activation of some examples.

        Shapes: examples (batch,), activation (batch, …) or (batch, steps, …).
        """
        if self.layout.padded:
            inside = self._inside(examples, activation.shape[1])
            at = self._places(examples, activation.shape[1])[inside]
            self._rows[at] = activation.cpu()[inside]
        else:
            self._rows[examples] = activation.permute(0, *self.layout.order).cpu()

    def read(self, examples: Tensor, steps: int | None, device: torch.device) -> Tensor:
        """The activation of some examples; zeros where they are padded.

        Shapes: examples (batch,); result (batch, …) or (batch, steps, …).
        """
        if self.layout.padded:
            assert steps is not None
            found = self._rows[self._places(examples, steps)]
            outside = ~self._inside(examples, steps)
            found.masked_fill_(outside.reshape(*outside.shape, *[1] * len(self.layout.shape)), 0)
            return _sent(found, device)
        back = sorted(range(len(self.layout.order)), key=lambda d: self.layout.order[d])
        return _sent(self._rows[examples], device).permute(0, *(d + 1 for d in back))

    def unpadded(self, examples: Tensor, activation: Tensor) -> Tensor:
        """What of an activation is kept: in an order of its own, equal for equal examples."""
        if not self.layout.padded:
            return activation
        inside = self._inside(examples, activation.shape[1])
        return activation[inside.to(activation.device)]

    def _inside(self, examples: Tensor, steps: int) -> Tensor:
        return torch.arange(steps) < self._lengths[examples, None]

    def _places(self, examples: Tensor, steps: int) -> Tensor:
        """The row of every step of every example; of a step outside, any row."""
        places = self._first[examples, None] + torch.arange(steps)
        return places.clamp_(max=len(self._rows) - 1)


def bytes_for(layouts: Sequence[Layout], lengths: Tensor) -> int:
    """How much the activations of a split take, where `lengths` are those of its examples."""
    steps, examples = int(lengths.sum()), len(lengths)
    return sum(layout.bytes * (steps if layout.padded else examples) for layout in layouts)


def _empty(shape: Sequence[int], dtype: torch.dtype, folder: Path | None) -> Tensor:
    """Room for rows; the file is forgotten by its folder at once and lives as long as the rows."""
    size = math.prod(shape)
    if folder is None or size == 0:
        return torch.empty(*shape, dtype=dtype)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix="activations-") as file:
        return torch.from_file(file.name, shared=True, size=size, dtype=dtype).view(*shape)


def _sent(rows: Tensor, device: torch.device) -> Tensor:
    """Rows on a device; from pinned memory, so that the copy waits for nothing."""
    return rows if device.type == "cpu" else rows.pin_memory().to(device, non_blocking=True)
