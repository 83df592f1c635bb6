"""Speech models of transformers and torchaudio, tiny and from random weights."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize
from whole import Row

_SMALL = {
    "vocab_size": 21,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "conv_dim": (16, 16),
    "conv_kernel": (10, 3),
    "conv_stride": (5, 2),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
    # Drawn with numpy's generator: the laws seed torch's.
    "apply_spec_augment": False,
    "layerdrop": 0.0,
}


def _waves() -> Mapping[str, Any]:
    return {"input_values": torch.randn(2, 400)}


def wav2vec2() -> nn.Module:
    """As it comes: its positional convolution is weight-normed."""
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    return Wav2Vec2ForCTC(Wav2Vec2Config(**_SMALL))


def hubert() -> nn.Module:
    from transformers import HubertConfig, HubertForCTC

    return HubertForCTC(HubertConfig(**_SMALL))


def wav2vec2_conformer() -> nn.Module:
    from transformers import Wav2Vec2ConformerConfig, Wav2Vec2ConformerForCTC

    config = Wav2Vec2ConformerConfig(
        **_SMALL, position_embeddings_type="relative", conv_depthwise_kernel_size=5
    )
    return Wav2Vec2ConformerForCTC(config)


def conformer() -> nn.Module:
    from torchaudio.models import Conformer

    return Conformer(16, num_heads=4, ffn_dim=24, num_layers=2, depthwise_conv_kernel_size=5)


def wav2vec2_bert() -> nn.Module:
    from transformers import Wav2Vec2BertConfig, Wav2Vec2BertModel

    config = Wav2Vec2BertConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        feature_projection_input_dim=16,
        conv_depthwise_kernel_size=5,
        apply_spec_augment=False,
        layerdrop=0.0,
    )
    return Wav2Vec2BertModel(config)


def encodec() -> nn.Module:
    """A codec of sound: convolutions, all of them weight-normed, around an LSTM."""
    from transformers import EncodecConfig, EncodecModel

    config = EncodecConfig(
        num_filters=4,
        hidden_size=16,
        codebook_dim=16,
        codebook_size=16,
        upsampling_ratios=[4, 2],
        num_lstm_layers=1,
    )
    return EncodecModel(config)


def baked(model: nn.Module) -> nn.Module:
    """Every parametrisation becomes a plain weight of the value that it has."""
    for module in list(model.modules()):
        if parametrize.is_parametrized(module):
            for name in list(module.parametrizations):
                parametrize.remove_parametrizations(module, name)
    return model


def _frames() -> Mapping[str, Any]:
    return {"input": torch.randn(2, 12, 16), "lengths": torch.tensor([12, 9])}


ROWS = (
    Row("wav2vec2", lambda: baked(wav2vec2()), _waves),
    Row("hubert", lambda: baked(hubert()), _waves),
    Row(
        "wav2vec2_conformer",
        lambda: baked(wav2vec2_conformer()),
        _waves,
        idle={"*.pos_conv_embed.conv.weight": "made by the base class and never called"},
    ),
    Row("wav2vec2_bert", wav2vec2_bert, lambda: {"input_features": torch.randn(2, 12, 16)}),
    Row(
        "encodec",
        lambda: baked(encodec()),
        lambda: {"input_values": torch.randn(1, 1, 400)},
        idle={
            "encoder.*": "only the choice of a code passes on what it says",
            "decoder.layers.0.*": "a fresh codebook holds zeros",
        },
    ),
    Row("torchaudio_conformer", conformer, _frames),
)
AS_THEY_COME = (
    Row("wav2vec2", wav2vec2, _waves),
    Row("hubert", hubert, _waves),
)
