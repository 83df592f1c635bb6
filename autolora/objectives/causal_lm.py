"""The next token, at each place of a text."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from autolora.objectives import logits
from autolora.training.batch import Batch
from autolora.training.tokens import token_losses

ANSWERS = "tokens"


@dataclass(frozen=True)
class CausalLm:
    """Cross-entropy of each token, given those before it.

    Shapes: outputs (batch, tokens, vocabulary); targets (batch, tokens) of int64: the tokens
    themselves, IGNORED where one is read and not predicted.
    """

    def losses(self, output: Any, targets: Tensor) -> Tensor:
        """The mean over the predicted tokens of each example, in nats."""
        return token_losses(logits(output)[:, :-1], targets[:, 1:])

    def answered(
        self, model: nn.Module, output: Any, batch: Batch, *, final: bool
    ) -> tuple[None, None]:
        """Nothing: the loss says it all."""
        del model, output, batch, final
        return None, None


def objective() -> CausalLm:
    """The objective of language models."""
    return CausalLm()
