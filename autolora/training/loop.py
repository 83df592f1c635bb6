"""The only training loop: batches, updates, and an evaluation whenever one is due."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from autolora.errors import Diverged
from autolora.training.batch import Batch
from autolora.training.batching import counted
from autolora.training.checkpoint import Checkpoint
from autolora.training.curve import CurvePoint
from autolora.training.device import moved, precise
from autolora.training.evaluate import Around, Passing, answered, nothing_around, values
from autolora.training.meter import Meter
from autolora.training.modes import train
from autolora.training.schedule import share
from autolora.training.seeds import ORDER, derived
from autolora.training.settings import TrainingSettings
from autolora.training.task import Split, Task
from autolora.training.treatment import Treatment


@dataclass(frozen=True)
class Evaluated:
    """A point of the curve with every metric behind it."""

    point: CurvePoint
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Span:
    """The part of a run that is trained now: from a checkpoint, to a step; the whole without.

    A part that ends before the run does is not evaluated.
    """

    start: Checkpoint | None = None
    until: int | None = None


@dataclass
class Loop:
    """A task, an attached adapter, and how to train it.

    `parts` says into how many smaller ones each batch is divided, beside what the settings say;
    `around` gives, for a split, the context in which each batch goes through the model.
    `reached` is where the run stands once its span has ended; `stands` gives that at an evaluation,
    while there is something to train.
    """

    task: Task
    treatment: Treatment
    model: nn.Module
    settings: TrainingSettings
    seed: int
    parts: int = 1
    around: Mapping[Split, Around] | None = None
    reached: Checkpoint | None = field(default=None, init=False)
    stands: Callable[[], Checkpoint] | None = field(default=None, init=False)

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def evaluations(
        self, peak_rate: float, meter: Meter, span: Span | None = None
    ) -> Iterator[Evaluated]:
        """Trains, and gives each evaluation when it is due; with nothing to train, one at the end.

        Rank 0 everywhere on a task without a head is the base itself.
        """
        settings, span = self.settings, span or Span()
        parameters = list(self.treatment.parameters())
        if not parameters:
            yield self._evaluated(settings.steps, math.nan, 0.0, meter)
            return
        optimizer = torch.optim.AdamW(parameters, lr=peak_rate, weight_decay=settings.weight_decay)
        first = 0
        if span.start is not None:
            span.start.load(parameters, optimizer)
            first = span.start.step
        last = settings.steps if span.until is None else span.until
        batches = self._batches(first)
        losses: list[Tensor] = []  # on the device: reading one would wait for it
        train(self.model)
        for step in range(first + 1, last + 1):
            rate = peak_rate * share(step - 1, settings.steps, settings.warmup)
            optimizer.param_groups[0]["lr"] = rate
            batch, examples = next(batches)
            meter.trained(examples)
            losses.append(self._step(optimizer, batch, step - 1))
            if step in settings.evaluation_steps and span.until is None:
                train_loss = _mean(losses, step, rate)
                losses.clear()
                evaluated = self._evaluated(step, train_loss, rate, meter)
                self.stands = partial(Checkpoint.of, step, parameters, optimizer)
                yield evaluated
        if losses:
            _mean(losses, last, rate)
        if span.until is not None:
            self.reached = Checkpoint.of(last, parameters, optimizer)

    def _step(self, optimizer: torch.optim.Optimizer, batch: Any, step: int) -> Tensor:
        """One update; gives the loss before it."""
        optimizer.zero_grad()
        losses = []
        for part, part_of in self._divided(batch):
            with self.treatment.training(step):  # anew, for a backward pass frees what it formed
                losses.append(self._gradients(part, part_of))
        if self.settings.clip_norm is not None:
            trained = optimizer.param_groups[0]["params"]
            torch.nn.utils.clip_grad_norm_(trained, self.settings.clip_norm)
        optimizer.step()
        self.treatment.updated(step)
        return torch.stack(losses).sum()

    def _gradients(self, batch: Any, share_of_batch: float) -> Tensor:
        """Adds the gradients of a part of a batch; gives its part of the loss."""
        with precise(self.settings.precision, self._device), self._around("train")(batch):
            loss = self.task.loss(self.model, moved(batch, self._device)) * share_of_batch
            penalty = self.treatment.penalty()
            whole = loss if penalty is None else loss + penalty * share_of_batch
            whole.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _divided(self, batch: Any) -> Iterator[tuple[Any, float]]:
        """The parts of a batch, each with its share of the weight of all examples."""
        parts = self.parts * self.settings.accumulate
        if parts == 1 or not isinstance(batch, Batch):
            yield batch, 1.0
            return
        total = batch.weights.sum().item()
        for part in batch.parts(parts):
            yield part, part.weights.sum().item() / total

    def _evaluated(self, step: int, train_loss: float, rate: float, meter: Meter) -> Evaluated:
        with precise(self.settings.precision, self._device), self.treatment.evaluating():
            passing = Passing(self._around("valid"), self.parts)
            answers = answered(self.model, self.task, "valid", final=False, passing=passing)
        meter.evaluated(self.task.examples("valid"))
        metrics = values(self.task.metrics, answers)
        if not math.isfinite(metrics["loss"]):
            raise Diverged("validation", step, rate)
        return Evaluated(CurvePoint(step, train_loss, metrics["loss"], rate), metrics)

    def _around(self, split: Split) -> Around:
        return (self.around or {}).get(split, nothing_around)

    def _batches(self, skipped: int) -> Iterator[tuple[Any, int]]:
        """Batches without end with how many examples each has, but for the first ones.

        Each pass has an order of its own.
        """
        size, examples = self.settings.batch_size, self.task.examples("train")
        epoch, left = divmod(skipped, -(-examples // size))
        while True:
            order = derived(self.seed, ORDER, epoch)
            batches = self.task.batches("train", batch_size=size, seed=order)
            yield from itertools.islice(counted(batches, size, examples), left, None)
            epoch, left = epoch + 1, 0


def _mean(losses: list[Tensor], step: int, rate: float) -> float:
    """The mean of the latest losses, of which the last belongs to `step`.

    Raises:
        Diverged: at the first that is not finite.
    """
    values = torch.stack(losses).double().cpu()
    broken = (~values.isfinite()).nonzero()
    if len(broken):
        raise Diverged("training", step - len(losses) + 1 + int(broken[0]), rate)
    return values.mean().item()
