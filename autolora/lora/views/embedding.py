"""Embeddings: rows are tokens, columns their features."""

import torch
from torch import nn

from autolora.lora.example import Example
from autolora.lora.views import Block

LAYERS = (nn.Embedding, nn.EmbeddingBag)


def blocks(layer: nn.Module, parameter: str) -> tuple[Block, ...]:
    """The whole table."""
    if parameter != "weight":
        return ()
    return (Block(None, "embedding", 0, layer.num_embeddings),)  # type: ignore[arg-type]


EXAMPLES = (
    Example("embedding", lambda: nn.Embedding(9, 6), lambda: (torch.randint(9, (2, 5)),)),
    Example(
        "embedding_padding",
        lambda: nn.Embedding(9, 6, padding_idx=0, scale_grad_by_freq=True),
        lambda: (torch.tensor([[0, 1, 2, 2], [3, 4, 0, 8]]),),
    ),
    Example(
        "embedding_bag_sum",
        lambda: nn.EmbeddingBag(9, 6, mode="sum", padding_idx=2, include_last_offset=True),
        lambda: (
            torch.tensor([1, 2, 4, 5, 4, 3, 0, 8]),
            torch.tensor([0, 3, 3, 8]),
            torch.randn(8),
        ),
    ),
    Example(
        "embedding_bag_max",
        lambda: nn.EmbeddingBag(9, 6, mode="max"),
        lambda: (torch.randint(9, (3, 4)),),
    ),
    Example(
        "embedding_bag",
        lambda: nn.EmbeddingBag(9, 6, mode="mean"),
        lambda: (torch.randint(9, (3, 4)),),
    ),
)
