"""A text written in answer to another."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from autolora.objectives import logits
from autolora.training.batch import Batch
from autolora.training.tokens import token_losses

ANSWERS = "texts"


@dataclass(frozen=True)
class Seq2seq:
    """Cross-entropy of each token of the answer, given those before it.

    Attributes:
        text: What tokens say.
        longest: How many tokens an answer may have when the model writes it by itself.

    Shapes: outputs (batch, tokens, vocabulary); targets (batch, tokens) of int64, IGNORED behind
    the end.
    """

    text: Callable[[Tensor], str]
    longest: int

    def losses(self, output: Any, targets: Tensor) -> Tensor:
        """The mean over the tokens of each answer, in nats."""
        return token_losses(logits(output), targets)

    def answered(
        self, model: Any, output: Any, batch: Batch, *, final: bool
    ) -> tuple[list[str] | None, list[str] | None]:
        """What the model writes, the likeliest token at each place, and the expected answers."""
        del output
        if not final:
            return None, None
        read = {n: ids for n, ids in batch.inputs.items() if not n.startswith("decoder")}
        written = model.generate(
            **read, max_new_tokens=self.longest, do_sample=False, num_beams=1, use_cache=True
        )
        expected = [self.text(ids) for ids in batch.targets.cpu()]
        return [self.text(ids) for ids in written.cpu()], expected


def objective(text: Callable[[Tensor], str], longest: int) -> Seq2seq:
    """The objective of answers in words."""
    return Seq2seq(text, longest)
