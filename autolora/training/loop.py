"""The loop itself: batches, updates, and an evaluation whenever one is due."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from autolora.errors import Diverged
from autolora.lora.attach import Attached
from autolora.training.curve import CurvePoint
from autolora.training.device import moved, precise
from autolora.training.evaluate import means, per_example
from autolora.training.meter import Meter
from autolora.training.modes import train
from autolora.training.schedule import share
from autolora.training.seeds import ORDER, derived
from autolora.training.settings import TrainingSettings
from autolora.training.task import Task


@dataclass(frozen=True)
class Evaluated:
    """A point of the curve with every metric behind it."""

    point: CurvePoint
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Loop:
    """A task, an attached adapter, and how to train it."""

    task: Task
    attached: Attached
    settings: TrainingSettings
    device: torch.device
    seed: int

    def evaluations(self, peak_rate: float, meter: Meter) -> Iterator[Evaluated]:
        """Trains, and gives each evaluation when it is due."""
        settings = self.settings
        optimizer = torch.optim.AdamW(
            self.attached.parameters(), lr=peak_rate, weight_decay=settings.weight_decay
        )
        batches = self._batches(meter)
        losses: list[Tensor] = []  # on the device: reading one would wait for it
        train(self.attached.model)
        for step in range(1, settings.steps + 1):
            rate = peak_rate * share(step - 1, settings.steps, settings.warmup)
            optimizer.param_groups[0]["lr"] = rate
            losses.append(self._step(optimizer, next(batches)))
            if step in settings.evaluation_steps:
                train_loss = _mean(losses, step, rate)
                losses.clear()
                yield self._evaluated(step, train_loss, rate, meter)

    def _step(self, optimizer: torch.optim.Optimizer, batch: Any) -> Tensor:
        """One update; gives the loss before it."""
        optimizer.zero_grad()
        with precise(self.settings.precision, self.device):
            loss = self.task.loss(self.attached.model, moved(batch, self.device))
        loss.backward()  # type: ignore[no-untyped-call]
        if self.settings.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.attached.parameters(), self.settings.clip_norm)
        optimizer.step()
        return loss.detach()

    def _evaluated(self, step: int, train_loss: float, rate: float, meter: Meter) -> Evaluated:
        with precise(self.settings.precision, self.device):
            metrics = means(per_example(self.attached.model, self.task, "valid"))
        meter.evaluated(self.task.examples("valid"))
        if not math.isfinite(metrics["loss"]):
            raise Diverged("validation", step, rate)
        return Evaluated(CurvePoint(step, train_loss, metrics["loss"], rate), metrics)

    def _batches(self, meter: Meter) -> Iterator[Any]:
        """Batches without end, each pass in an order of its own; counted as they are given."""
        size, examples = self.settings.batch_size, self.task.examples("train")
        epoch = 0
        while True:
            order = derived(self.seed, ORDER, epoch)
            batches = self.task.batches("train", batch_size=size, seed=order)
            for number, batch in enumerate(batches):
                meter.trained(min(size, examples - number * size))
                yield batch
            epoch += 1


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
