"""Evaluating allocations without training them: views on the factors of one run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from autolora.artifacts.adapter import Adapter
from autolora.nested.seen import show, shown
from autolora.nested.sharing import (
    KEPT_BYTES,
    LOOKED,
    LOOKS,
    Sharing,
    Step,
    computing,
    sharing,
    steps,
    whole,
)
from autolora.spending.journal import Evaluation, digest
from autolora.training.answers import Answers
from autolora.training.batch import Batch
from autolora.training.batching import counted
from autolora.training.device import choose, moved, precise
from autolora.training.modes import evaluating, without_dropout
from autolora.training.seeds import seeded
from autolora.training.settings import TrainingSettings
from autolora.training.task import Task

Ranks = Mapping[str, int]


class Part(NamedTuple):
    """A batch of a sample, how many examples it has, and plain data that say which."""

    batch: Any
    examples: int
    which: Any


Sample = Sequence[Part]


@dataclass(frozen=True)
class Losses:
    """The loss of every example of a sample under one allocation.

    Shapes: losses, weights (examples,) of float64.
    """

    losses: Tensor
    weights: Tensor

    @property
    def mean(self) -> float:
        """The weighted mean, in nats."""
        return float((self.losses * self.weights).sum() / self.weights.sum())

    @classmethod
    def of(cls, answers: Sequence[Answers]) -> "Losses":
        """Those of batches one after another."""
        return cls(torch.cat([a.losses for a in answers]), torch.cat([a.weights for a in answers]))

    def joined(self, other: "Losses") -> "Losses":
        """These examples and others."""
        losses = torch.cat((self.losses, other.losses))
        return Losses(losses, torch.cat((self.weights, other.weights)))


_FEW = 3  # allocations at once from which on a look at what they may share pays


class Truncated:
    """A model with an adapter of high rank, seen at any lower allocation.

    Nothing is copied and nothing attached anew from one allocation to the next. What they have in
    common is computed once, where that gives the same to the bit: see `sharing`.

    Attributes:
        example_passes: What all evaluations have cost: a forward is 1, a backward 1. Of a forward
            that has shared calls with earlier ones the part of its multiplications counts that was
            computed, rounded up to whole passes.
        evaluations: All evaluations so far.
        adapter: What is cut: the first ranks of a target are taken.
    """

    def __init__(
        self,
        adapter: Adapter,
        task: Task,
        settings: TrainingSettings,
        kept_bytes: int = KEPT_BYTES,
    ) -> None:
        """`kept_bytes` bounds what is kept for later evaluations; with 0 nothing is shared."""
        self.adapter, self.task, self.example_passes = adapter, task, 0
        self.evaluations: list[Evaluation] = []
        self._settings = settings
        self._device = choose(settings.device)
        with seeded(0, self._device):  # what is drawn is replaced by the adapter's own
            self._model = without_dropout(task.model().to(self._device), but=())
            self._attached = adapter.attach_to(self._model, check=False)
        self.full = {n: (p.up.detach(), p.down.detach()) for n, p in self._attached.factors.items()}
        self._sharing: Sharing | None = None
        # On a GPU, comparing values waits for it: not measured, so not done.
        self._kept_bytes = kept_bytes if self._device.type == "cpu" else 0

    @property
    def ranks(self) -> dict[str, int]:
        """The highest rank of every target."""
        return {name: up.shape[1] for name, (up, _) in self.full.items()}

    @property
    def pending(self) -> int:
        """What looking whether evaluations may share anything can still cost beside them."""
        return LOOKED * LOOKS if self._kept_bytes and self._sharing is None else 0

    def most(self, count: int, sample: Sample) -> int:
        """The example-passes that evaluating so many allocations at once costs at most."""
        return count * size(sample) + (self.pending if count >= _FEW else 0)

    def losses(self, ranks: Ranks, sample: Sample) -> Losses:
        """The loss of each example of some batches under an allocation."""
        return self.each([ranks], sample)[0]

    def each(self, allocations: Sequence[Ranks], sample: Sample) -> list[Losses]:
        """The same for several allocations, which share what comes before they differ."""
        found: list[list[Answers]] = [[] for _ in allocations]
        passes = [0] * len(allocations)
        for part in sample:
            for step in self._steps(allocations, part):
                answers, cost = self._answered(allocations[step.index], part, step)
                found[step.index].append(answers)
                passes[step.index] += cost
        self.example_passes += sum(passes)
        which, count = digest([part.which for part in sample]), size(sample)
        joined = [Losses.of(answers) for answers in found]
        for ranks, losses, cost in zip(allocations, joined, passes, strict=True):
            kept = {name: rank for name, rank in sorted(ranks.items()) if rank}
            self.evaluations.append(Evaluation(digest(kept), which, losses.mean, count, cost))
        return joined

    def _steps(self, allocations: Sequence[Ranks], part: Part) -> list[Step]:
        """In which order allocations go through a batch, and what is kept meanwhile."""
        if len(allocations) >= _FEW and self.pending:
            self._look(part)
        if self._sharing is None:
            return [Step(i) for i in range(len(allocations))]
        return steps(self._sharing.learnt, allocations)

    def _look(self, part: Part) -> None:
        """Decides whether evaluations share anything."""

        def losses(ranks: Ranks, batch: Batch) -> Tensor:
            self._show(ranks)
            return self.task.answer(self._model, batch, final=False).losses

        with precise(self._settings.precision, self._device):
            found = sharing(self._attached, losses, part.batch, self._kept_bytes)
        self._sharing, cost = found
        self.example_passes += cost
        if self._sharing is None:
            self._kept_bytes = 0

    def _answered(self, ranks: Ranks, part: Part, step: Step) -> tuple[Answers, int]:
        """What the model answers, and the example-passes that it took."""
        self._show(ranks)
        batch = moved(part.batch, self._device)
        with precise(self._settings.precision, self._device):
            if self._sharing is None or not step.shares:
                with evaluating(self._model):
                    return self.task.answer(self._model, batch, final=False), part.examples
            with computing(self._model), self._sharing.turn(ranks, step):
                answers = self.task.answer(self._model, batch, final=False)
        return answers, whole(part.examples * (1 - self._sharing.served))

    def slopes(self, gates: Mapping[str, Tensor], sample: Sample) -> dict[str, Tensor]:
        """The gradient of the mean loss with respect to a gate before every single rank.

        A gate multiplies a rank: 1 leaves it as it is, 0 takes it away.

        Shapes: gates and result (highest rank,) for each target.
        """
        leaves = {n: g.clone().to(self._device).requires_grad_() for n, g in gates.items()}
        total = {name: torch.zeros_like(gate) for name, gate in gates.items()}
        for part in sample:
            factors = {n: (self.full[n][0], self.full[n][1] * leaves[n][:, None]) for n in leaves}
            with shown(self._attached, factors), precise(self._settings.precision, self._device):
                loss = self.task.loss(self._model.eval(), moved(part.batch, self._device))
                found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
            for name, slope in zip(leaves, found, strict=True):
                if slope is not None:
                    total[name] += slope.detach().cpu() * part.examples
        self.example_passes += 2 * size(sample)
        return {name: value / size(sample) for name, value in total.items()}

    def gates(self, ranks: Ranks) -> dict[str, Tensor]:
        """The gates that an allocation means: 1 for the first ranks of a target, 0 for the rest."""
        return {
            name: (torch.arange(up.shape[1]) < ranks.get(name, 0)).to(up.dtype)
            for name, (up, _) in self.full.items()
        }

    def _show(self, ranks: Ranks) -> None:
        for name, part in self._attached.factors.items():
            rank, (up, down) = ranks.get(name, 0), self.full[name]
            show(part, (up[:, :rank], down[:rank]) if rank else None)


SAMPLED = 32  # examples of a batch of a sample


def sample(task: Task, examples: int, *, seed: int, skip: int = 0) -> list[Part]:
    """Batches of the validation split with about so many examples, drawn by a seed.

    With `skip`, the examples after so many others: samples that share no example.
    """
    taken: list[Part] = []
    seen = 0
    batches = task.batches("valid", batch_size=SAMPLED, seed=seed)
    for batch, count in counted(batches, SAMPLED, task.examples("valid")):
        if seen >= skip:
            which = batch.examples.tolist() if isinstance(batch, Batch) else [seed, seen, count]
            taken.append(Part(batch, count, which))
        seen += count
        if seen >= skip + examples:
            break
    return taken


def size(sample: Sample) -> int:
    """How many examples a sample has."""
    return sum(part.examples for part in sample)
