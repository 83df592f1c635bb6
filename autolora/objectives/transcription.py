"""What is said, token by token, each given those before it."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autolora.data.quiet import quiet
from autolora.data.sound.tokens import Tokens
from autolora.objectives import logits
from autolora.training.batch import Batch

PADDING = -100  # of targets: the prompt, and what is after the end

ANSWERS = "texts"


@dataclass(frozen=True)
class Transcription:
    """Cross-entropy of the tokens of a text, its end among them, a mean over them.

    Shapes: outputs hold logits (batch, tokens, vocabulary); targets (batch, tokens) of int64,
    -100 where nothing is asked.

    Attributes:
        tokens: How texts become tokens.
        most: How many tokens a written text may have.
        always: Whether texts are written at every evaluation, and not only for final results.
    """

    tokens: Tokens
    most: int
    always: bool = False

    def losses(self, output: Any, targets: Tensor) -> Tensor:
        """In nats a token."""
        scores = logits(output).transpose(1, 2)
        losses = F.cross_entropy(scores, targets, ignore_index=PADDING, reduction="none")
        return losses.sum(1) / (targets != PADDING).sum(1)

    def answered(
        self, model: nn.Module, output: Any, batch: Batch, *, final: bool
    ) -> tuple[list[str] | None, list[str] | None]:
        """The text that the model writes greedily, and the transcript."""
        if not (final or self.always):
            return None, None
        written = greedy(model, output.encoder_last_hidden_state, self.tokens, self.most)
        asked = [[t for t in row if t != PADDING] for row in batch.targets.tolist()]
        return [self.tokens.decoded(row) for row in written], [
            self.tokens.decoded(row) for row in asked
        ]


def objective(tokens: Tokens, most: int, *, always: bool) -> Transcription:
    """The objective of tokens."""
    return Transcription(tokens, most, always)


def greedy(model: Any, states: Tensor, tokens: Tokens, most: int) -> list[list[int]]:
    """The tokens after the prompt, each the most likely one given those before it.

    Shapes: states (batch, places, width), what the encoder made of the recordings.
    """
    from transformers import GenerationConfig, GenerationMixin
    from transformers.modeling_outputs import BaseModelOutput

    prompt = torch.tensor(tokens.prompt, device=states.device).expand(len(states), -1)
    chosen = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=most,
        do_sample=False,
        num_beams=1,
        use_cache=True,
        eos_token_id=tokens.end,
        pad_token_id=tokens.end,
        decoder_start_token_id=tokens.prompt[0],
        suppress_tokens=list(tokens.never) or None,
        begin_suppress_tokens=list(tokens.not_first) or None,
    )
    # Whisper's own generate serves long recordings and timestamps; the plain one suffices here.
    with quiet():  # it warns that no mask is given: no prompt is padded
        written: Any = GenerationMixin.generate(
            model,
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            decoder_input_ids=prompt,
            generation_config=chosen,
        )
    return [row[len(tokens.prompt) :] for row in written.tolist()]
