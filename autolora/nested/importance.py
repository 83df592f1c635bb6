"""How much single triplets of a delta matter, followed over the steps of a run."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

_SMOOTHING = 0.85  # β₁ and β₂ of the paper


@dataclass
class Sensitivity:
    """The sensitivity of every number of a tensor, smoothed, times how unsure that is.

    I = |w · g|; Ī ← β₁ Ī + (1 - β₁) I; Ū ← β₂ Ū + (1 - β₂) |I - Ī|; the score is Ī · Ū.

    Source: Zhang et al. 2023 (AdaLoRA), equations 8 to 11.
    """

    smooth: Tensor | None = None
    unsure: Tensor | None = None

    def update(self, value: Tensor, gradient: Tensor) -> None:
        """Takes a step's values and gradients in."""
        now = (value * gradient).abs()
        if self.smooth is None or self.unsure is None:
            self.smooth, self.unsure = torch.zeros_like(now), torch.zeros_like(now)
        self.smooth = _SMOOTHING * self.smooth + (1 - _SMOOTHING) * now
        self.unsure = _SMOOTHING * self.unsure + (1 - _SMOOTHING) * (now - self.smooth).abs()

    def score(self) -> Tensor | float:
        """Of every number; 0 before the first step."""
        return 0.0 if self.smooth is None or self.unsure is None else self.smooth * self.unsure


@dataclass
class TripletScores:
    """The importance of each triplet (a column of P, a value, a row of Q) of one delta."""

    left: Sensitivity = field(default_factory=Sensitivity)
    values: Sensitivity = field(default_factory=Sensitivity)
    right: Sensitivity = field(default_factory=Sensitivity)

    @torch.no_grad()
    def update(self, left: Tensor, values: Tensor, right: Tensor) -> None:
        """Takes a step in; a tensor that has no gradient is as one with zeros."""
        for sensitivity, tensor in zip(
            (self.left, self.values, self.right), (left, values, right), strict=True
        ):
            gradient = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
            sensitivity.update(tensor.detach(), gradient)

    def scores(self) -> Tensor:
        """That of the value plus the means of those of its two vectors.

        Shapes: (rank,).
        Source: Zhang et al. 2023 (AdaLoRA), equation 7.
        """
        left, values, right = (s.score() for s in (self.left, self.values, self.right))
        if not (
            isinstance(left, Tensor) and isinstance(values, Tensor) and isinstance(right, Tensor)
        ):
            return torch.zeros(0)
        return values + left.mean(0) + right.mean(1)
