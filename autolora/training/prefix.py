"""The frozen prefix: activations below all that is trained, computed once and used again."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from autolora.training.batch import Batch
from autolora.training.prefix_cut import Cut, cut, trained_modules
from autolora.training.prefix_guard import disagreement
from autolora.training.prefix_kept import Kept, Layout, bytes_for, padded_steps
from autolora.training.prefix_replay import Recorded, Replay
from autolora.training.prefix_run import Key, Layouts, Off, Run, in_mode
from autolora.training.prefix_tape import Tape
from autolora.training.task import Split, Task

__all__ = ["Prefix", "Replay"]

_PROBED = 3  # and one fewer: two sizes tell what is laid out by examples
_COMPARED = 8


class Prefix:
    """What is kept in a process: one for a task, used by all of its trials.

    Trials with equal cuts share what is kept. Everything is computed in batches of one size and
    stored order, so that a trial has equal bits whether it comes first or later.

    Attributes:
        example_passes: What recording and checking have cost so far; a forward of the lower part
            counts as a whole one.
        notes: What was decided for each split at the latest `prepare`.

    Units: the budget counts all that is kept, in memory or in `folder`, in bytes.
    """

    def __init__(self, budget_bytes: int, folder: Path | None = None) -> None:
        self.example_passes = 0
        self.notes: dict[Split, str] = {}
        self._budget_bytes, self._folder = budget_bytes, folder
        self._stored: dict[Key, Recorded] = {}  # the one used last comes last
        self._refused: dict[Key, str] = {}

    def prepare(
        self,
        model: nn.Module,
        trained: Collection[str],
        task: Task,
        device: torch.device,
        *,
        training: bool = True,
    ) -> Replay | None:
        """Makes sure that the activations of train and valid are kept; None if none can be.

        Call it under the autocast that the training runs in, after the adapter is attached. The
        model's modes and torch's generator stay as they were.

        Args:
            model: On the device, with what is trained asking for gradients.
            trained: Modules that count as trained beside those that are: naming every layer of a
                search space gives all of its trials one cut.
            task: Gives the batches; only those of `Batch` are kept.
            device: Where the model is.
            training: Whether the train split goes through the model in training mode.
        """
        self.notes = {}
        splits: dict[Split, Recorded] = {}
        asked: tuple[tuple[Split, bool], ...] = (("train", training), ("valid", False))
        for split, mode in asked:
            run = Run(model, task, split, device)
            with in_mode(model, training=mode), torch.no_grad():
                try:
                    splits[split] = self._split(run, trained, tuple(splits.values()))
                except Off as reason:
                    self.notes[split] = f"off, because {reason}"
        return Replay(model, device, splits) if splits else None

    def _split(self, run: Run, trained: Collection[str], in_use: tuple[Recorded, ...]) -> Recorded:
        """What is kept of a split, recorded if it is not there; checked in either case."""
        if run.model.training and getattr(run.task, "augmented", False):
            raise Off("its batches are changed at random")
        found = self._found(run, trained)
        key = (run.key(), *found.key())
        if key in self._refused:
            raise Off(self._refused[key])
        recorded = self._stored.pop(key, None)
        lengths = torch.empty(0) if recorded else self._room(run, found, in_use)
        try:
            recorded = recorded or self._recorded(run, found, lengths)
            self._check(run, recorded)
        except Off as reason:
            self._refused[key] = str(reason)
            raise
        self._stored[key] = recorded
        self.notes[run.split] = f"{found}, kept in {recorded.bytes / 1e6:,.1f} MB"
        return recorded

    def _found(self, run: Run, trained: Collection[str]) -> "_Found":
        """Where the model is cut, and what its activations look like."""
        batch = run.first(_PROBED)
        if len(batch.examples) < _PROBED:
            raise Off("it has too few examples")
        fewer: Batch = tree_map_only(Tensor, lambda t: t[:-1], batch)
        tapes = run.tape(batch, trained), run.tape(fewer, trained)
        self.example_passes += 2 * _PROBED - 1
        below = cut(run.model, trained_modules(run.model, trained), tapes)
        if not below:
            raise Off(f"nothing that can be kept comes before {tapes[0].stop}")
        return _Found(below, _layouts(below, tapes[0], padded_steps(batch)), tapes[0].stop)

    def _room(self, run: Run, found: "_Found", in_use: tuple[Recorded, ...]) -> Tensor:
        """Makes room for a split; gives the lengths of its examples."""
        lengths = run.lengths()
        size = bytes_for(tuple(found.needed.values()), lengths)
        left = self._budget_bytes - sum(recorded.bytes for recorded in in_use)
        if size > left:
            raise Off(f"it would take {size / 1e6:,.1f} MB of the {left / 1e6:,.1f} MB left")
        for key, recorded in list(self._stored.items()):
            if sum(r.bytes for r in self._stored.values()) + size <= self._budget_bytes:
                break
            if not any(recorded is used for used in in_use):
                del self._stored[key]
        return lengths

    def _recorded(self, run: Run, found: "_Found", lengths: Tensor) -> Recorded:
        kept = {
            place: Kept(layout, lengths, self._folder) for place, layout in found.needed.items()
        }
        run.record(found.below, found.layouts, kept)
        self.example_passes += len(lengths)
        shaped = {p: layout for p, layout in found.layouts.items() if p not in kept}
        size = bytes_for(tuple(found.needed.values()), lengths)
        return Recorded(found.below, kept, shaped, run.model.training, size)

    def _check(self, run: Run, recorded: Recorded) -> None:
        batch = run.first(_COMPARED, seed=0)  # in other company than when it was recorded
        self.example_passes += len(batch.examples) * (4 if run.model.training else 2)
        if reason := disagreement(run.task, run.model, batch, recorded):
            raise Off(reason)


@dataclass(frozen=True)
class _Found:
    """A cut, how what it needs is laid out, and what came after it."""

    below: Cut
    layouts: Layouts
    stop: str | None

    @property
    def needed(self) -> Layouts:
        """Of what is kept."""
        places = {(below.module, leaf) for below in self.below for leaf in below.needed}
        return {place: layout for place, layout in self.layouts.items() if place in places}

    def key(self) -> Key:
        """What tells it from other cuts."""
        modules = tuple((below.module, below.needed, below.shaped) for below in self.below)
        return (modules, tuple(self.layouts.items()))

    def __str__(self) -> str:
        last = next(below.module for below in reversed(self.below) if below.needed)
        return f"{len(self.below)} modules up to {last}, until {self.stop}"


def _layouts(found: Cut, tape: Tape, steps: int | None) -> Layouts:
    """How everything that is used is laid out, as a tape has seen it."""
    calls = {call.module: call for call in tape.calls}
    return {
        (below.module, leaf): Layout.of(calls[below.module].leaves[leaf], steps)
        for below in found
        for leaf in (*below.needed, *below.shaped)
    }
