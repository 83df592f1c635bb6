"""An allocation and a learning rate go in, a trained adapter comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from autolora.artifacts.adapter import Adapter
from autolora.errors import OutOfMemory
from autolora.lora.attach import Attached, attach
from autolora.space.proposal import Proposal
from autolora.training.best import Best
from autolora.training.checkpoint import Checkpoint
from autolora.training.curve import CurvePoint, Ledger
from autolora.training.device import choose
from autolora.training.loop import Loop, Span
from autolora.training.memory import ran_out
from autolora.training.meter import Meter
from autolora.training.midway import Midway
from autolora.training.modes import without_dropout
from autolora.training.seeds import DROPOUT, derived, seeded
from autolora.training.settings import TrainingSettings
from autolora.training.shared import Shared
from autolora.training.task import Task
from autolora.training.treatment import Plain, Treats

Watch = Callable[[CurvePoint], bool]
Keep = Callable[[Midway], None]


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

    def with_cost_of(self, before: Ledger) -> Fit:
        """The same run, counted with steps that it went on from."""
        return replace(self, ledger=before + self.ledger)


@dataclass(frozen=True)
class Run:
    """What is trained, and how.

    Attributes:
        task: Model and data; the test split is not touched.
        proposal: The allocation, its scale rule and the peak learning rate.
        settings: What all trials of a study share.
        seed: Decides the head, the factors, the order of the batches, and dropout.
        start: An adapter of the same allocation whose factors, scales and head it starts from.
        treats: What it does with the factors beside gradient steps.
    """

    task: Task
    proposal: Proposal
    settings: TrainingSettings
    seed: int
    start: Adapter | None = None
    treats: Treats = Plain


@dataclass(frozen=True)
class Begun:
    """A run after its first steps: where it stands, its adapter there, and what it cost."""

    checkpoint: Checkpoint
    adapter: Adapter
    ledger: Ledger


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


def train(
    run: Run,
    shared: Shared,
    watch: Watch | None = None,
    start: Checkpoint | Midway | None = None,
    keep: Keep | None = None,
) -> Fit:
    """Trains an adapter as one of several runs of a process.

    Equal arguments give equal bits on a CPU with an equal number of threads. Runs of one seed
    share the start of the head, the order of the batches and the head's dropout, so that
    allocations are compared in pairs.

    Args:
        run: What is trained.
        shared: What the runs of this process have in common.
        watch: Called at each evaluation; True ends the run.
        start: Where the run stood when it was left; it goes on from there. From a checkpoint it
            counts from there; from an evaluation, all that was found before is part of it.
        keep: Called at each evaluation but the last with where the run stands then.

    Raises:
        Diverged: if a loss is not finite any more.
        OutOfMemory: if a batch does not fit into the memory of the device.
        NoDevice: if the device of the settings is not there.
    """
    meter = Meter(choose(run.settings.device))
    with _within_memory(run, shared, meter):
        return _fit(_Prepared.of(run, shared, meter), meter, _Around(watch, start, keep))


def begin(run: Run, shared: Shared, until: int) -> Begun:
    """Takes the first steps of a run and leaves it there, to be gone on with by `train`.

    Raises:
        Diverged, OutOfMemory, NoDevice: as `train` does.
    """
    meter = Meter(choose(run.settings.device))
    with _within_memory(run, shared, meter):
        prepared = _Prepared.of(run, shared, meter)
        with seeded(run.seed, meter.device):
            torch.manual_seed(derived(run.seed, DROPOUT))
            rest = prepared.loop.evaluations(run.proposal.learning_rate, meter, Span(None, until))
            assert not list(rest), "a part of a run is not evaluated"
        reached = prepared.loop.reached
        assert reached is not None, "a span that ends keeps where it ended"
        prepared.loop.treatment.finish()
        return Begun(reached, Adapter.capture(prepared.attached.model), meter.ledger())


@contextmanager
def _within_memory(run: Run, shared: Shared, meter: Meter) -> Iterator[None]:
    """Within this context, memory that does not suffice is told as such, with what it cost."""
    reason = None
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        reason = str(error).partition("\n")[0]
    if reason is not None:  # past the error, whose traceback holds the tensors
        raise OutOfMemory(run.settings.batch_size, shared.parts, reason, meter.ledger())


@dataclass(frozen=True)
class _Around:
    """What a run comes from and tells; see `train`."""

    watch: Watch | None
    start: Checkpoint | Midway | None
    keep: Keep | None

    @property
    def midway(self) -> Midway | None:
        """The evaluation that it goes on from."""
        return self.start if isinstance(self.start, Midway) else None

    @property
    def span(self) -> Span:
        """The part of the run that is trained now."""
        return Span(self.start.place if isinstance(self.start, Midway) else self.start)


def _fit(prepared: _Prepared, meter: Meter, around: _Around) -> Fit:
    run, loop, midway = prepared.run, prepared.loop, around.midway
    curve = list(midway.curve) if midway else []
    before = midway.ledger if midway else Ledger(0, 0.0, 0)
    stopped = False
    with seeded(run.seed, meter.device):
        torch.manual_seed(derived(run.seed, DROPOUT))  # the factors drew more or fewer numbers
        best = Best(loop.treatment)
        if midway:
            best.take(midway.best, midway.evaluated, midway.since)
        for evaluated in loop.evaluations(run.proposal.learning_rate, meter, around.span):
            curve.append(evaluated.point)
            best.keep_if_better(evaluated)
            stopped = around.watch is not None and around.watch(evaluated.point)
            if stopped or best.stale(run.settings.patience):
                break
            if around.keep and loop.stands and evaluated.point.step < run.settings.steps:
                spent = before + meter.ledger()
                around.keep(Midway(loop.stands(), *best.state(), tuple(curve), spent))
        best.restore()
        loop.treatment.finish()
    kept = best.evaluated
    adapter = Adapter.capture(prepared.attached.model)
    ledger = before + meter.ledger()
    return Fit(adapter, kept.point.valid_loss, kept.metrics, tuple(curve), ledger, stopped)


@dataclass(frozen=True)
class _Prepared:
    """A fresh model of the task with the proposed adapter and its head, ready to be trained."""

    run: Run
    attached: Attached
    loop: Loop

    @classmethod
    def of(cls, run: Run, shared: Shared, meter: Meter) -> _Prepared:
        with seeded(run.seed, meter.device):
            attached = _attached(run, shared, meter)
            around = shared.around(run.task, attached, run.settings, meter)
            treatment = run.treats(attached, run.seed)
        model = attached.model
        loop = Loop(run.task, treatment, model, run.settings, run.seed, shared.parts, around)
        return cls(run, attached, loop)


def _attached(run: Run, shared: Shared, meter: Meter) -> Attached:
    """A fresh model of the task with the proposed adapter and its head to train."""
    task, settings, proposal = run.task, run.settings, run.proposal
    model = task.model().to(meter.device)
    if settings.head_start == "probe" and run.start is None:
        shared.start_head(task, model, settings, meter)
    if not settings.base_dropout:
        without_dropout(model, but=task.head)
    if run.start is not None:
        attached = run.start.attach_to(model, check=False)
        for part in attached.factors.values():
            part.dropout = settings.dropout
        return attached
    attached = attach(model, proposal.allocation, scale=proposal.scale, dropout=settings.dropout)
    return attached.also_train(*task.head)
