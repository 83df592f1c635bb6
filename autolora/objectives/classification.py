"""One class of several for each example."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from autolora.objectives import logits
from autolora.training.batch import Batch

ANSWERS = "labels"


@dataclass(frozen=True)
class Classification:
    """Cross-entropy of a score for each class.

    Shapes: outputs (batch, classes); targets (batch,) of int64.
    """

    def losses(self, output: Any, targets: Tensor) -> Tensor:
        """The cross-entropy of each example, in nats."""
        return F.cross_entropy(logits(output), targets, reduction="none")

    def answered(
        self, model: nn.Module, output: Any, batch: Batch, *, final: bool
    ) -> tuple[Tensor, Tensor]:
        """The class with the highest score, and the expected one."""
        del model, final
        return logits(output).argmax(1).cpu(), batch.targets.cpu()


def objective() -> Classification:
    """The objective of single labels."""
    return Classification()
