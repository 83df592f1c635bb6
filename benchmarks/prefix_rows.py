"""Steps, evaluations and whole runs with and without kept activations, in turns."""

import gc
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch

from autolora.lora.allocation import Allocation
from autolora.lora.attach import Attached, attach
from autolora.space.proposal import Proposal
from autolora.training import modes
from autolora.training.batch import Batch
from autolora.training.fit import Run, train
from autolora.training.prefix import Prefix, Replay
from autolora.training.prefix_run import in_mode
from autolora.training.settings import TrainingSettings
from autolora.training.shared import Shared
from autolora.training.task import Split
from benchmarks.prefix_cases import Case
from benchmarks.prefix_flops import counted

RANK, BUDGET_BYTES = 8, 4_000_000_000
_CPU = torch.device("cpu")
_RATE = 1e-3


@dataclass(frozen=True)
class Paired:
    """Seconds without and with kept activations, turn by turn."""

    without: tuple[float, ...]
    kept: tuple[float, ...]

    @property
    def ratios(self) -> list[float]:
        return [a / b for a, b in zip(self.without, self.kept, strict=True)]


@dataclass(frozen=True)
class Row:
    """What was measured of a case; FLOPs are those of a pass over a split, without and with.

    `flowing` is about steps whose gradient flows back to the bottom where nothing is kept.
    """

    case: Case
    kept: str
    step: Paired
    flowing: Paired
    evaluation: Paired
    replay_seconds: float
    step_flops: tuple[int, int]
    evaluation_flops: tuple[int, int]
    first: Paired
    later: Paired

    def flop_ratio(self, *, records: bool) -> float:
        """What the FLOPs of a whole run allow, checks left out.

        What recording computes is what a pass over both splits spares.
        """
        epochs = self.case.epochs
        passes = zip(self.step_flops, self.evaluation_flops, strict=True)
        without, kept = (epochs * (step + evaluation) for step, evaluation in passes)
        return without / (kept + records * (without - kept) / epochs)


class Pairs:
    """An adapted model whose batches go through it with and without what is kept."""

    def __init__(self, case: Case) -> None:
        self.case, self.task = case, case.task
        self.attached = _attached(case)
        self.model = self.attached.model
        self.prefix = Prefix(BUDGET_BYTES)
        trained = {*case.task.head, *case.layers}
        replay = self.prefix.prepare(self.model, trained, case.task, _CPU)
        assert replay is not None, self.prefix.notes
        self.replay: Replay = replay
        self._optimizer = torch.optim.AdamW(self.attached.parameters(), lr=_RATE)

    def steps(self, turns: int) -> Paired:
        """Updates as the training loop makes them: gradients, clipping, AdamW."""
        modes.train(self.model)
        batches = self._batches("train", self.case.batch)
        return _in_turns(lambda batch, kept: self._step(batch, kept=kept), batches[:turns])

    def flowing_steps(self, turns: int) -> Paired:
        """Kept activations against steps whose gradient flows back to the lowest vector."""
        modes.train(self.model)
        frozen = (p for p in self.model.parameters() if not p.requires_grad)
        lowest = next(parameter for parameter in frozen if parameter.ndim == 1)

        def step(batch: Batch, kept: bool) -> None:
            lowest.requires_grad_(not kept)
            self._step(batch, kept=kept)
            lowest.grad = None

        found = _in_turns(step, self._batches("train", self.case.batch)[:turns])
        lowest.requires_grad_(False)
        return found

    def evaluations(self, turns: int) -> Paired:
        with modes.evaluating(self.model):
            batches = self._batches("valid", self.task.evaluation_batch)
            return _in_turns(lambda batch, kept: self._answer(batch, kept=kept), batches[:turns])

    def step_flops(self) -> tuple[int, int]:
        modes.train(self.model)
        batches = list(self.task.batches("train", batch_size=self.case.batch, seed=0))
        return _counted(lambda batch, kept: self._step(batch, kept=kept), batches)

    def evaluation_flops(self) -> tuple[int, int]:
        with in_mode(self.model, training=False), torch.no_grad():  # inference hides products
            batches = list(self.task.batches("valid", batch_size=self.task.evaluation_batch))
            return _counted(lambda batch, kept: self._answer(batch, kept=kept), batches)

    def replay_seconds(self) -> float:
        """What serving a batch costs by itself: gathering rows, placing them, taking them away."""
        modes.train(self.model)
        taken = []
        for batch in self._batches("train", self.case.batch)[:30]:
            began = time.process_time()
            with self.replay.on(self.model, batch, "train"):
                pass
            taken.append(time.process_time() - began)
        return statistics.median(taken)

    def _batches(self, split: Split, size: int) -> list[Batch]:
        """Some hundred, of several orders."""
        found = (b for s in range(100) for b in self.task.batches(split, batch_size=size, seed=s))
        return list(itertools.islice(found, 200))

    def _on(self, batch: Batch, split: Split, *, kept: bool) -> AbstractContextManager[None]:
        return self.replay.on(self.model, batch, split) if kept else nullcontext()

    def _step(self, batch: Batch, *, kept: bool) -> None:
        self._optimizer.zero_grad()
        with self._on(batch, "train", kept=kept):
            cast(Any, self.task.loss(self.model, batch)).backward()
        torch.nn.utils.clip_grad_norm_(self.attached.parameters(), 1.0)
        self._optimizer.step()

    def _answer(self, batch: Batch, *, kept: bool) -> None:
        with self._on(batch, "valid", kept=kept):
            self.task.answer(self.model, batch, final=False)


def measured(case: Case, turns: int) -> Row:
    """All of a case; of whole runs there are so many turns, of steps ten times as many."""
    pairs = Pairs(case)
    pairs.steps(3)
    first, later = _whole(case, turns)
    return Row(
        case,
        pairs.prefix.notes["train"],
        pairs.steps(10 * turns),
        pairs.flowing_steps(5 * turns),
        pairs.evaluations(10 * turns),
        pairs.replay_seconds(),
        pairs.step_flops(),
        pairs.evaluation_flops(),
        first,
        later,
    )


def _attached(case: Case) -> Attached:
    model = case.task.model()
    modes.without_dropout(model, but=case.task.head)
    return attach(model, Allocation.uniform(case.found, RANK)).also_train(*case.task.head)


def _in_turns(run: Callable[[Batch, bool], None], batches: Sequence[Batch]) -> Paired:
    """Every batch both ways; which comes first changes by turn."""
    taken: dict[bool, list[float]] = {False: [], True: []}
    gc.collect()
    gc.disable()
    for turn, batch in enumerate(batches):
        for kept in (turn % 2 == 0, turn % 2 == 1):
            taken[kept].append(_seconds(partial(run, batch, kept)))
    gc.enable()
    return Paired(tuple(taken[False]), tuple(taken[True]))


def _counted(run: Callable[[Batch, bool], None], batches: Sequence[Batch]) -> tuple[int, int]:
    def every(*, kept: bool) -> None:
        for batch in batches:
            run(batch, kept)

    return counted(lambda: every(kept=False)), counted(lambda: every(kept=True))


def _whole(case: Case, turns: int) -> tuple[Paired, Paired]:
    """Runs of the training loop: against one that records, and against one that finds it kept."""
    proposal = Proposal(Allocation.uniform(case.found, RANK), _RATE)
    plain = TrainingSettings(
        steps=case.steps, batch_size=case.batch, evaluations=case.epochs, base_dropout=False
    )
    kept = plain.model_copy(update={"cache_bytes": BUDGET_BYTES})
    short = kept.model_copy(update={"steps": 2, "evaluations": 1})
    train(Run(case.task, proposal, short, 0), Shared(layers=case.layers))  # warms up
    taken: dict[str, list[float]] = {"without": [], "first": [], "later": []}
    for turn in range(turns):
        shared = Shared(layers=case.layers)
        for what in list(taken) if turn % 2 == 0 else ["first", "later", "without"]:
            run = Run(case.task, proposal, plain if what == "without" else kept, 0)
            taken[what].append(_seconds(partial(train, run, shared)))
    without, first, later = (tuple(seconds) for seconds in taken.values())
    return Paired(without, first), Paired(without, later)


def _seconds(run: Callable[[], Any]) -> float:
    """The process's own time, which other work on the machine disturbs little."""
    began = time.process_time()
    run()
    return time.process_time() - began
