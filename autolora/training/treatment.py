"""What a run does with its factors beside plain gradient steps."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from torch import Tensor, nn

from autolora.lora.attach import Attached


class Treatment(Protocol):
    """The life of the factors of one run; made anew for every run.

    A treatment may show the model other factors than those that are trained: prefixes of them, or
    products with a third factor. When a run ends, `finish` leaves them as they are to be kept.
    """

    def parameters(self) -> Iterator[nn.Parameter]:
        """All that is trained, the head included, always in the same order."""

    def training(self, step: int) -> AbstractContextManager[Any]:
        """The context of a forward and a backward pass of a step, counted from 0.

        Asked for once for each part of a batch, and the same each time.
        """

    def evaluating(self) -> AbstractContextManager[Any]:
        """The context of an evaluation."""

    def penalty(self) -> Tensor | None:
        """What is added to the loss of a batch, a scalar; inside the context of its step."""

    def updated(self, step: int) -> None:
        """Called after the update of a step; the gradients are still there."""

    def finish(self) -> None:
        """Called when the best state has been put back: leaves the factors to be kept."""


class Treats(Protocol):
    """Makes the treatment of a run; equal arguments give equal treatments."""

    def __call__(self, attached: Attached, seed: int) -> Treatment:
        """The treatment of the factors of an adapter that was just attached."""


class Plain:
    """Gradient steps and nothing else."""

    def __init__(self, attached: Attached, seed: int = 0) -> None:
        del seed
        self.attached = attached

    def parameters(self) -> Iterator[nn.Parameter]:
        """The factors and the head."""
        return self.attached.parameters()

    def training(self, step: int) -> AbstractContextManager[Any]:
        """The model as it is."""
        del step
        return nullcontext()

    def evaluating(self) -> AbstractContextManager[Any]:
        """The model as it is."""
        return nullcontext()

    def penalty(self) -> Tensor | None:
        """None."""
        return None

    def updated(self, step: int) -> None:
        """Nothing more."""

    def finish(self) -> None:
        """They are as they are to be kept."""
