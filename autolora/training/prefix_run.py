"""A model and a split that goes through it, to be recorded."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from autolora.training import modes
from autolora.training.batch import Batch
from autolora.training.device import moved
from autolora.training.prefix_cut import Cut, trained_modules
from autolora.training.prefix_kept import Kept, Layout, padded_steps
from autolora.training.prefix_replay import Place, watching
from autolora.training.prefix_tape import Tape, record
from autolora.training.task import Split, Task

_AT_ONCE = 32  # examples that are recorded together; always as many, so that bits are equal

Key = tuple[Any, ...]
Layouts = Mapping[Place, Layout]


@dataclass(frozen=True)
class Run:
    """A model and a split that goes through it."""

    model: nn.Module
    task: Task
    split: Split
    device: torch.device

    def key(self) -> Key:
        """What decides activations beside the cut."""
        kind = self.device.type
        half = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        return (self.task.fingerprint(), self.split, self.model.training, str(self.device), half)

    def first(self, examples: int, seed: int | None = None) -> Batch:
        """A batch on the device, smaller if the split is."""
        batch = next(iter(self.task.batches(self.split, batch_size=examples, seed=seed)), None)
        if not isinstance(batch, Batch):
            raise Off("its batches do not tell their examples")
        return moved(batch, self.device)  # type: ignore[no-any-return]

    def tape(self, batch: Batch, trained: Collection[str]) -> Tape:
        """The tape of a batch."""
        names = trained_modules(self.model, trained)
        with _undrawn(self.device):
            run = partial(self.task.loss, self.model, batch)
            return record(self.model, names, run, batch.examples)

    def lengths(self) -> Tensor:
        """The steps of every example, or 1.

        Shapes: (examples,).
        """
        lengths = torch.ones(self.task.examples(self.split), dtype=torch.int64)
        for batch in self.task.batches(self.split, batch_size=_AT_ONCE):
            if batch.lengths is None:
                break
            lengths[batch.examples] = batch.lengths
        return lengths

    def record(self, found: Cut, layouts: Layouts, kept: Mapping[Place, Kept]) -> None:
        """Runs the lower part on every example of the split, and keeps what it gives."""
        for batch in self.task.batches(self.split, batch_size=_AT_ONCE):
            self._record(found, layouts, kept, batch)

    def _record(
        self, found: Cut, layouts: Layouts, kept: Mapping[Place, Kept], batch: Batch
    ) -> None:
        steps, left = padded_steps(batch), set(layouts)

        def note(place: Place, activation: Tensor) -> None:
            if activation.shape != layouts[place].whole(len(batch.examples), steps):
                raise Off(f"what {place[0]} gives has another shape in another batch")
            if place in kept:
                kept[place].write(batch.examples, activation)
            left.discard(place)
            if not left:
                raise _Enough

        with _undrawn(self.device), watching(self.model, found, note), suppress(_Enough):
            self.task.loss(self.model, moved(batch, self.device))
        if left:
            raise Off("the model takes another path in another batch")


class Off(Exception):
    """Why nothing is kept of a split."""


class _Enough(BaseException):
    """All that is needed has been seen: past any `except Exception` of a model."""


def _undrawn(device: torch.device) -> Any:
    devices = [device] if device.type == "cuda" else []
    return torch.random.fork_rng(devices=devices)


@contextmanager
def in_mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Within this context a model is in a mode of the training loop; undone after."""
    before = [(module, module.training) for module in model.modules()]
    try:
        modes.train(model) if training else model.eval()
        yield
    finally:
        for module, mode in before:
            module.training = mode
