"""Attention: query, key and value are targets of their own, packed in one parameter or not."""

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from autolora.lora.example import Example
from autolora.lora.views import Block, Setting

LAYERS = (nn.MultiheadAttention, NonDynamicallyQuantizableLinear)

# An encoder packs a padded batch into a nested tensor after a look at its first layer alone;
# an adapted layer further up could not take it.
SETTINGS = (Setting(nn.TransformerEncoder, "use_nested_tensor", value=False),)

_SEPARATE = {"q_proj_weight": "query", "k_proj_weight": "key", "v_proj_weight": "value"}


def blocks(layer: nn.Module, parameter: str) -> tuple[Block, ...]:
    """q, k and v of the packed weight, or the separate weights; the output projection."""
    if not isinstance(layer, nn.MultiheadAttention):
        if parameter != "weight":
            return ()
        return (Block(None, "attention_output", 0, layer.out_features),)  # type: ignore[arg-type]
    width = layer.embed_dim
    if parameter == "in_proj_weight":
        names = ("query", "key", "value")
        return tuple(Block(name, name, i * width, width) for i, name in enumerate(names))
    if parameter in _SEPARATE:
        return (Block(None, _SEPARATE[parameter], 0, width),)
    return ()  # bias_k and bias_v


def _sequence(*shape: int) -> torch.Tensor:
    return torch.randn(*shape)


class CrossAttention(nn.Module):
    """Attention to a memory of other widths, with learned extra keys."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(
            8, 2, kdim=6, vdim=5, batch_first=True, add_bias_kv=True
        )

    def forward(self, x: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """What the queries gather."""
        out: torch.Tensor = self.attention(x, key, value)[0]
        return out


class SelfAttention(nn.Module):
    """Attention of a sequence to itself, time first."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What the positions gather."""
        out: torch.Tensor = self.attention(x, x, x, need_weights=False)[0]
        return out


class PaddedEncoder(nn.Module):
    """An encoder over a padded batch; what it says at padding is of no account."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoder(_encoder_layer(), 2)

    def forward(self, x: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        """The states, zero at padding."""
        out: torch.Tensor = self.encoder(x, src_key_padding_mask=padding)
        return out.masked_fill(padding[..., None], 0)


class MaskedAttention(nn.Module):
    """Attention that gives its weights, under both masks, with an empty key to attend to."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(
            8, 2, batch_first=True, bias=False, add_bias_kv=True, add_zero_attn=True
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the positions gather, and from where."""
        length = x.shape[1]
        later = torch.ones(length, length, dtype=torch.bool).triu(1)
        padding = torch.zeros(x.shape[:2], dtype=torch.bool)
        padding[0, -1] = True
        out: tuple[torch.Tensor, torch.Tensor] = self.attention(
            x, x, x, attn_mask=later, key_padding_mask=padding, average_attn_weights=False
        )
        return out


class Translator(nn.Module):
    """Encoder and decoder, causal, the norm before or after."""

    def __init__(self, *, norm_first: bool) -> None:
        super().__init__()
        how: Any = {"batch_first": True, "norm_first": norm_first}
        layer = nn.TransformerEncoderLayer(8, 2, 12, 0.0, **how)
        encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=not norm_first)
        self.transformer = nn.Transformer(8, 2, 1, 1, 12, 0.0, custom_encoder=encoder, **how)

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The states of the target."""
        mask = self.transformer.generate_square_subsequent_mask(target.shape[1], dtype=source.dtype)
        out: torch.Tensor = self.transformer(source, target, tgt_mask=mask, tgt_is_causal=True)
        return out


def _encoder_layer() -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True)


EXAMPLES = (
    Example("attention", SelfAttention, lambda: (_sequence(5, 2, 8),)),
    Example(
        "cross_attention",
        CrossAttention,
        lambda: (_sequence(2, 5, 8), _sequence(2, 4, 6), _sequence(2, 4, 5)),
    ),
    Example("encoder_layer", _encoder_layer, lambda: (_sequence(2, 5, 8),)),
    Example(
        "padded_encoder",
        PaddedEncoder,
        lambda: (_sequence(2, 5, 8), torch.tensor([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]]) > 0),
    ),
    Example("masked_attention", MaskedAttention, lambda: (_sequence(2, 5, 8),)),
    *(
        Example(
            f"transformer_{where}",
            partial(Translator, norm_first=where == "norm_first"),
            lambda: (_sequence(2, 5, 8), _sequence(2, 4, 8)),
        )
        for where in ("norm_first", "norm_last")
    ),
    Example(
        "decoder_layer",
        lambda: nn.TransformerDecoderLayer(8, 2, 12, dropout=0.0, batch_first=True),
        lambda: (_sequence(2, 5, 8), _sequence(2, 4, 8)),
    ),
)
