"""Any number of labels for each example."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from autolora.objectives import logits
from autolora.training.batch import Batch

ANSWERS = "labels"


@dataclass(frozen=True)
class MultiLabel:
    """Binary cross-entropy of a score for each label.

    Shapes: outputs (batch, labels); targets (batch, labels) of float, 1 or 0.
    """

    def losses(self, output: Any, targets: Tensor) -> Tensor:
        """The mean over the labels of each example, in nats."""
        scores = logits(output)
        return F.binary_cross_entropy_with_logits(scores, targets, reduction="none").mean(1)

    def answered(
        self, model: nn.Module, output: Any, batch: Batch, *, final: bool
    ) -> tuple[Tensor, Tensor]:
        """The labels that are likelier than not, and the expected ones, as yes or no."""
        del model, final
        return (logits(output) > 0).cpu(), (batch.targets > 0).cpu()


def objective() -> MultiLabel:
    """The objective of several labels."""
    return MultiLabel()
