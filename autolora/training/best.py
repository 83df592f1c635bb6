"""The best checkpoint of a run: the trained tensors only."""

from collections.abc import Sequence

import torch
from torch import Tensor

from autolora.training.loop import Evaluated
from autolora.training.treatment import Treatment


class Best:
    """The trained tensors at the evaluation with the lowest validation loss."""

    def __init__(self, treatment: Treatment) -> None:
        self._parameters = list(treatment.parameters())
        self._kept: list[Tensor] = []
        self._evaluated: Evaluated | None = None
        self._since = 0

    @property
    def evaluated(self) -> Evaluated:
        """The best evaluation so far."""
        assert self._evaluated is not None
        return self._evaluated

    def keep_if_better(self, evaluated: Evaluated) -> None:
        """Keeps the tensors as they are now if this evaluation is the best."""
        loss = evaluated.point.valid_loss
        self._since += 1
        if self._evaluated is None or loss < self._evaluated.point.valid_loss:
            self._evaluated = evaluated
            self._since = 0
            self._kept = [p.detach().clone() for p in self._parameters]

    def take(self, kept: Sequence[Tensor], evaluated: Evaluated, since: int) -> None:
        """Goes on from the state of another."""
        self._evaluated, self._since = evaluated, since
        pairs = zip(kept, self._parameters, strict=True)
        self._kept = [tensor.to(p.device, copy=True) for tensor, p in pairs]

    def state(self) -> tuple[tuple[Tensor, ...], Evaluated, int]:
        """The best tensors on the CPU, their evaluation, and how many came after it."""
        return tuple(t.to("cpu", copy=True) for t in self._kept), self.evaluated, self._since

    def stale(self, patience: int | None) -> bool:
        """Whether the latest evaluations, `patience` of them, brought nothing better."""
        return patience is not None and self._since >= patience

    @torch.no_grad()
    def restore(self) -> None:
        """Puts the kept tensors back."""
        for parameter, kept in zip(self._parameters, self._kept, strict=True):
            parameter.copy_(kept)
