"""An allocation and a learning rate go in, a trained adapter comes out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from autolora.artifacts.adapter import Adapter
from autolora.errors import OutOfMemory
from autolora.lora.attach import Attached, attach
from autolora.space.proposal import Proposal
from autolora.training.best import Best
from autolora.training.curve import CurvePoint, Ledger
from autolora.training.device import choose
from autolora.training.loop import Loop
from autolora.training.memory import ran_out
from autolora.training.meter import Meter
from autolora.training.modes import without_dropout
from autolora.training.seeds import DROPOUT, derived, seeded
from autolora.training.settings import TrainingSettings
from autolora.training.shared import Shared
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


@dataclass(frozen=True)
class Run:
    """What is trained, and how.

    Attributes:
        task: Model and data; the test split is not touched.
        proposal: The allocation, its scale rule and the peak learning rate.
        settings: What all trials of a study share.
        seed: Decides the head, the factors, the order of the batches, and dropout.
    """

    task: Task
    proposal: Proposal
    settings: TrainingSettings
    seed: int


def fit(
    task: Task,
    proposal: Proposal,
    settings: TrainingSettings,
    *,
    seed: int,
    watch: Watch | None = None,
) -> Fit:
    """Trains an adapter with AdamW and keeps the state with the lowest validation loss.

    The arguments are those of `Run`; see `train` for `watch` and for what is raised.
    """
    return train(Run(task, proposal, settings, seed), Shared(), watch)


def train(run: Run, shared: Shared, watch: Watch | None = None) -> Fit:
    """Trains an adapter as one of several runs of a process.

    Equal arguments give equal bits on a CPU with an equal number of threads. Runs of one seed
    share the start of the head, the order of the batches and the head's dropout, so that
    allocations are compared in pairs.

    Args:
        run: What is trained.
        shared: What the runs of this process have in common.
        watch: Called at each evaluation; True ends the run.

    Raises:
        Diverged: if a loss is not finite any more.
        OutOfMemory: if a batch does not fit into the memory of the device.
        NoDevice: if the device of the settings is not there.
    """
    device = choose(run.settings.device)
    meter = Meter(device)
    try:
        return _fit(run, shared, meter, watch)
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        reason = str(error).partition("\n")[0]
    raise OutOfMemory(run.settings.batch_size, shared.parts, reason, meter.ledger())


def _fit(run: Run, shared: Shared, meter: Meter, watch: Watch | None) -> Fit:
    curve: list[CurvePoint] = []
    stopped = False
    with seeded(run.seed, meter.device):
        attached = _attached(run, shared, meter)
        torch.manual_seed(derived(run.seed, DROPOUT))  # the factors drew more or fewer numbers
        best = Best(attached)
        around = shared.around(run.task, attached, run.settings, meter)
        loop = Loop(run.task, attached, run.settings, run.seed, shared.parts, around)
        for evaluated in loop.evaluations(run.proposal.learning_rate, meter):
            curve.append(evaluated.point)
            best.keep_if_better(evaluated)
            stopped = watch is not None and watch(evaluated.point)
            if stopped or best.stale(run.settings.patience):
                break
        best.restore()
    kept = best.evaluated
    adapter = Adapter.capture(attached.model)
    ledger = meter.ledger()
    return Fit(adapter, kept.point.valid_loss, kept.metrics, tuple(curve), ledger, stopped)


def _attached(run: Run, shared: Shared, meter: Meter) -> Attached:
    """A fresh model of the task with the proposed adapter and its head to train."""
    task, settings, proposal = run.task, run.settings, run.proposal
    model = task.model().to(meter.device)
    if settings.head_start == "probe":
        shared.start_head(task, model, settings, meter)
    if not settings.base_dropout:
        without_dropout(model, but=task.head)
    attached = attach(model, proposal.allocation, scale=proposal.scale, dropout=settings.dropout)
    return attached.also_train(*task.head)
