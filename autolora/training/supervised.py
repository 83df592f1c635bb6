"""A task put together from its parts: a network, examples, an objective, metrics."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from autolora.training.answers import Answers, Metric
from autolora.training.batch import Batch, mean_loss
from autolora.training.batching import ordered
from autolora.training.task import Split


class Examples(Protocol):
    """The examples of one split, prepared once."""

    def __len__(self) -> int: ...

    @property
    def lengths(self) -> Tensor | None:
        """How long each example is, where batches are padded: they are put together by it."""

    def batch(self, indices: Tensor, augment: torch.Generator | None) -> Batch:
        """Some of them side by side; changed at random where a generator is given."""


class Objective(Protocol):
    """What an output should be, and how far it is from that; a file of `objectives/` each."""

    def losses(self, output: Any, targets: Any) -> Tensor:
        """The loss of each example, a mean over what it counts: (batch,), in nats."""

    def answered(
        self, model: nn.Module, output: Any, batch: Batch, *, final: bool
    ) -> tuple[Any, Any]:
        """What the model answers and what would be right, as `Answers` holds them, on the CPU.

        Both may be None: always where only the loss is measured, or unless `final` where answers
        are dear.
        """


@dataclass(frozen=True)
class SupervisedTask:
    """A network, examples in three splits, and an objective; it keeps the protocol `Task`.

    Attributes:
        network: Gives a fresh base; torch's generator decides the head alone.
        call: Calls a model on the inputs of a batch.
        splits: The examples.
        objective: Loss and answers.
        metrics: By name; "loss" among them.
        head: The modules trained in full.
        identity: Plain data that decide results: model, data, options, in any form JSON knows.
        classes: How many, where there are classes.
        evaluation_batch: How many examples go through the model at once when it is measured.
        augmented: Whether training batches are changed at random.
    """

    network: Callable[[], nn.Module]
    call: Callable[[nn.Module, Any], Any]
    splits: Mapping[Split, Examples]
    objective: Objective
    metrics: Mapping[str, Metric]
    head: tuple[str, ...]
    identity: Any
    classes: int | None = None
    evaluation_batch: int = 64
    augmented: bool = False

    def model(self) -> nn.Module:
        """A fresh base; its head is drawn from torch's generator."""
        return self.network()

    def batches(self, split: Split, *, batch_size: int, seed: int | None = None) -> Iterator[Batch]:
        """One pass over a split, on the CPU; the last batch may be smaller."""
        examples = self.splits[split]
        augment = None
        if self.augmented and split == "train" and seed is not None:
            augment = torch.Generator().manual_seed(seed)
        for indices in ordered(len(examples), examples.lengths, batch_size, seed):
            yield examples.batch(indices, augment)

    def examples(self, split: Split) -> int:
        """How many examples a split holds."""
        return len(self.splits[split])

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The mean loss of a batch, each example by its weight."""
        losses = self.objective.losses(self.call(model, batch.inputs), batch.targets)
        return mean_loss(losses, batch.weights)

    def answer(self, model: nn.Module, batch: Batch, *, final: bool) -> Answers:
        """Losses and answers of a batch; the model is in the mode that the caller chose."""
        output = self.call(model, batch.inputs)
        losses = self.objective.losses(output, batch.targets).double().cpu()
        predicted, expected = self.objective.answered(model, output, batch, final=final)
        weights = batch.weights.double().cpu()
        return Answers(losses, weights, predicted, expected, self.classes)

    def fingerprint(self) -> str:
        """A digest of all that decides a result beside the training."""
        content = json.dumps(self.identity, sort_keys=True, default=str)
        return hashlib.sha256(content.encode()).hexdigest()
