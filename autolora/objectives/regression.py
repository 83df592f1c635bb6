"""A number for each example."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from autolora.objectives import logits
from autolora.training.batch import Batch

ANSWERS = "numbers"


@dataclass(frozen=True)
class Regression:
    """The squared error.

    Shapes: outputs (batch, 1) or (batch,); targets (batch,) of float.
    """

    def losses(self, output: Any, targets: Tensor) -> Tensor:
        """The squared error of each example, in the squared unit of the targets."""
        return F.mse_loss(_numbers(output, targets), targets, reduction="none")

    def answered(
        self, model: nn.Module, output: Any, batch: Batch, *, final: bool
    ) -> tuple[Tensor, Tensor]:
        """The predicted and the expected numbers."""
        del model, final
        return _numbers(output, batch.targets).cpu(), batch.targets.cpu()


def objective() -> Regression:
    """The objective of numbers."""
    return Regression()


def _numbers(output: Any, targets: Tensor) -> Tensor:
    return logits(output).reshape(targets.shape)
