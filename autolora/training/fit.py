"""The only training loop: an allocation and a learning rate go in, a trained adapter comes out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from autolora.artifacts.adapter import Adapter
from autolora.lora.attach import Attached, attach
from autolora.space.proposal import Proposal
from autolora.training.best import Best
from autolora.training.curve import CurvePoint, Ledger
from autolora.training.device import choose
from autolora.training.loop import Loop
from autolora.training.meter import Meter
from autolora.training.seeds import DROPOUT, derived, seeded
from autolora.training.settings import TrainingSettings
from autolora.training.task import Task

Watch = Callable[[CurvePoint], bool]


@dataclass(frozen=True)
class Fit:
    """What a run gives: the adapter of its best evaluation, and what led there.

    `loss` and `metrics` are those of the best evaluation on the validation split; `stopped` tells
    that the watch ended the run early.
    """

    adapter: Adapter
    loss: float
    metrics: Mapping[str, float]
    curve: tuple[CurvePoint, ...]
    ledger: Ledger
    stopped: bool


def fit(
    task: Task,
    proposal: Proposal,
    settings: TrainingSettings,
    *,
    seed: int,
    watch: Watch | None = None,
) -> Fit:
    """Trains an adapter with AdamW and keeps the state with the lowest validation loss.

    Equal arguments give equal bits on a CPU with an equal number of threads. Runs of one seed
    share the start of the head, the order of the batches and the head's dropout, so that
    allocations are compared in pairs.

    Args:
        task: Model and data; the test split is not touched.
        proposal: The allocation, its scale rule and the peak learning rate.
        settings: What all trials of a study share.
        seed: Decides the head, the factors, the order of the batches, and dropout.
        watch: Called at each evaluation; True ends the run.

    Raises:
        Diverged: if a loss is not finite any more.
        NoDevice: if the device of the settings is not there.
    """
    device = choose(settings.device)
    meter = Meter(device)
    curve: list[CurvePoint] = []
    stopped = False
    with seeded(seed, device):
        attached = _attached(task, proposal, settings, device)
        torch.manual_seed(derived(seed, DROPOUT))  # the factors drew more or fewer numbers
        best = Best(attached)
        loop = Loop(task, attached, settings, device, seed)
        for evaluated in loop.evaluations(proposal.learning_rate, meter):
            curve.append(evaluated.point)
            best.keep_if_better(evaluated)
            if watch is not None and watch(evaluated.point):
                stopped = True
                break
        best.restore()
    kept = best.evaluated
    adapter = Adapter.capture(attached.model)
    ledger = meter.ledger()
    return Fit(adapter, kept.point.valid_loss, kept.metrics, tuple(curve), ledger, stopped)


def _attached(
    task: Task, proposal: Proposal, settings: TrainingSettings, device: torch.device
) -> Attached:
    """A fresh model of the task with the proposed adapter and its head to train."""
    model = task.model().to(device)
    attached = attach(model, proposal.allocation, scale=proposal.scale, dropout=settings.dropout)
    return attached.also_train(*task.head)
