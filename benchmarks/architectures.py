"""Whole models with random weights of the exact architectures: time does not depend on values."""

import torch
from torch import nn


def minilm() -> nn.Module:
    """all-MiniLM-L6-v2: BERT of 6 layers, width 384, without its pooler, as sentences use it."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
    )
    return BertModel(config, add_pooling_layer=False)


def mobilenet_v2() -> nn.Module:
    """Torchvision's, channels last as the demo trains it.

    One batch sets its statistics: with fresh ones a signal fades over 50 layers.
    """
    from torchvision.models import mobilenet_v2 as architecture

    model: nn.Module = architecture(weights=None)
    norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in norms:
        layer.momentum = 1.0
    with torch.no_grad():
        model(torch.randn(16, 3, 48, 48))
    for layer in norms:
        layer.momentum = 0.1
    return model.to(memory_format=torch.channels_last)


def whisper_tiny_en(seconds: int = 4) -> nn.Module:
    """Whisper tiny.en, cut to windows of so many seconds: 50 positions each."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    config = WhisperConfig(
        vocab_size=51864,
        num_mel_bins=80,
        d_model=384,
        encoder_layers=4,
        decoder_layers=4,
        encoder_attention_heads=6,
        decoder_attention_heads=6,
        encoder_ffn_dim=1536,
        decoder_ffn_dim=1536,
        max_source_positions=50 * seconds,
        use_cache=False,
        pad_token_id=0,
    )
    return WhisperForConditionalGeneration(config)


def smollm2() -> nn.Module:
    """SmolLM2-135M: a Llama of 30 layers, width 576, with tied vocabulary."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
        use_cache=False,
    )
    return LlamaForCausalLM(config)
