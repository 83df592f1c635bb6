"""What a task offers: a model, data in three disjoint splits, a loss and metrics."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from autolora.training.answers import Answers, Metric

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")


class Task(Protocol):
    """A model and its data.

    `head` names the modules that are trained in full beside every adapter (a new classifier);
    their parameters are counted apart from the adapter's.
    """

    @property
    def head(self) -> tuple[str, ...]:
        """The modules trained in full."""

    @property
    def evaluation_batch(self) -> int:
        """How many examples go through the model at once when it is measured."""

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """What is measured, by name; "loss" among them."""

    def model(self) -> nn.Module:
        """A fresh base, equal at every call but for the head, which torch's seed decides."""

    def batches(self, split: Split, *, batch_size: int, seed: int | None = None) -> Iterator[Any]:
        """One pass over a split; shuffled by `seed`, in stored order without one.

        A `Batch` can be divided for accumulated gradients and its activations kept; anything else
        that `loss` understands will do.
        """

    def examples(self, split: Split) -> int:
        """How many examples a split holds."""

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """The mean loss of a batch: a scalar, in nats."""

    def answer(self, model: nn.Module, batch: Any, *, final: bool) -> Answers:
        """What the model answers to a batch; `final` asks also for what is dear (generated text).

        Without it `predicted` may be left out, and with it the metrics that need it.
        """

    def fingerprint(self) -> str:
        """A digest of data, splits and base: equal when a result may be reused."""
