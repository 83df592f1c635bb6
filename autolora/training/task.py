"""What a task offers: a model, data in three disjoint splits, a loss and metrics."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, Protocol

from torch import Tensor, nn

Split = Literal["train", "valid", "test"]


class Task(Protocol):
    """A model and its data.

    `head` names the modules that are trained in full beside every adapter (a new classifier);
    their parameters are counted apart from the adapter's.
    """

    @property
    def head(self) -> tuple[str, ...]:
        """The modules trained in full."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names that `per_example` gives; "loss" among them."""

    def model(self) -> nn.Module:
        """A fresh base, equal at every call but for the head, which torch's seed decides."""

    def batches(self, split: Split, *, batch_size: int, seed: int | None = None) -> Iterator[Any]:
        """One pass over a split; shuffled by `seed`, in stored order without one."""

    def examples(self, split: Split) -> int:
        """How many examples a split holds."""

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """The mean loss of a batch: a scalar, in nats."""

    def per_example(self, model: nn.Module, split: Split) -> Mapping[str, Tensor]:
        """One value an example for each metric whose mean is reported; "loss" among them.

        Shapes: each (examples,), on the CPU.
        """

    def fingerprint(self) -> str:
        """A digest of data, splits and base: equal when a result may be reused."""
