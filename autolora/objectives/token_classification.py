"""A class for each token that begins a word."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from autolora.objectives import logits
from autolora.training.batch import Batch
from autolora.training.tokens import IGNORED, token_losses

ANSWERS = "labels"


@dataclass(frozen=True)
class TokenClassification:
    """Cross-entropy of a score for each class at each token.

    Shapes: outputs (batch, tokens, classes); targets (batch, tokens) of int64, IGNORED where a
    token has no class.
    """

    def losses(self, output: Any, targets: Tensor) -> Tensor:
        """The mean over the classified tokens of each example, in nats."""
        return token_losses(logits(output), targets)

    def answered(
        self, model: nn.Module, output: Any, batch: Batch, *, final: bool
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The classes of the tokens that have one, and the expected ones, by example."""
        del model, final
        predicted, expected = logits(output).argmax(2).cpu(), batch.targets.cpu()
        counted = expected != IGNORED
        rows = range(len(expected))
        return [predicted[i][counted[i]] for i in rows], [expected[i][counted[i]] for i in rows]


def objective() -> TokenClassification:
    """The objective of tags."""
    return TokenClassification()
