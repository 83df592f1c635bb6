"""An encoder of texts under a new linear layer."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

Pooling = Literal["mean", "first", "last"]


class SentenceClassifier(nn.Module):
    """Scores of a text from one state: the mean over its tokens, its first, or its last.

    The encoder stands under the name that transformers gives it below a head of its own (`bert`),
    so that targets are called as in its models for classification; the new layer is `classifier`.
    """

    def __init__(self, encoder: nn.Module, name: str, pooling: Pooling, outputs: int) -> None:
        super().__init__()
        self.add_module(name, encoder)
        self.classifier = nn.Linear(_width(encoder), outputs)
        self._name = name
        self._pooling = pooling

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **others: Tensor) -> Tensor:
        """The scores of each text.

        Shapes: input_ids, attention_mask and others (batch, tokens), padded at the end; result
        (batch, outputs).
        """
        encoder = self.get_submodule(self._name)
        states = encoder(input_ids=input_ids, attention_mask=attention_mask, **others)[0]
        scores: Tensor = self.classifier(pooled(states, attention_mask, self._pooling))
        return scores


def pooled(states: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """One state for each text; what the mask leaves out plays no part.

    Shapes: states (batch, tokens, width); mask (batch, tokens), 1 for tokens and 0 for the
    padding behind them; result (batch, width).

    >>> states = torch.tensor([[[1.0], [3.0], [9.0]]])
    >>> [pooled(states, torch.tensor([[1, 1, 0]]), how).item() for how in ("mean", "first", "last")]
    [2.0, 1.0, 3.0]
    """
    if pooling == "first":
        return states[:, 0]
    lengths = mask.sum(1)
    if pooling == "last":
        return states[torch.arange(len(states), device=states.device), lengths - 1]
    return (states * mask.unsqueeze(2)).sum(1) / lengths.unsqueeze(1)


def _width(encoder: Any) -> int:
    width: int = encoder.config.hidden_size
    return width
