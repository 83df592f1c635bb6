"""Whisper tiny.en: the arrays of CTranslate2's file under the names of transformers."""

import copy
from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from autolora.data.assets import fetch
from autolora.data.ct2 import Arrays, read
from autolora.data.quiet import quietly_imported
from autolora.errors import MissingExtra

_LAYERS, _WIDTH, _HEADS, _VOCABULARY = 4, 384, 6, 51_864
_POSITIONS_PER_SECOND = 50

Named = Iterator[tuple[str, Tensor]]


def whisper_tiny_en(seconds: int = 30) -> nn.Module:
    """`WhisperForConditionalGeneration` in evaluation mode; 37.8 M parameters.

    Args:
        seconds: The length of its window; a shorter one is much cheaper.

    Shapes: it takes log-mel features (batch, 80, 100 · seconds).
    Source: Radford et al. 2023.

    Raises:
        MissingExtra: if transformers is not installed.
    """
    return copy.deepcopy(_pristine(seconds))


@cache
def _pristine(seconds: int) -> nn.Module:
    """The base of this process; torch's generator stays where it was."""
    try:
        with quietly_imported():
            from transformers import WhisperConfig, WhisperForConditionalGeneration
    except ImportError as error:
        raise MissingExtra("the model whisper_tiny_en", "transformers", "text") from error
    weights = dict(_weights(read(fetch("whisper_tiny_en"))))
    positions = seconds * _POSITIONS_PER_SECOND
    place = "model.encoder.embed_positions.weight"
    weights[place] = weights[place][:positions]
    with torch.random.fork_rng(devices=[]):
        model: nn.Module = WhisperForConditionalGeneration(_config(WhisperConfig, positions))
    model.load_state_dict(weights, strict=True)
    return model.eval()


def _config(config: Any, positions: int) -> Any:
    return config(
        vocab_size=_VOCABULARY,
        num_mel_bins=80,
        d_model=_WIDTH,
        encoder_layers=_LAYERS,
        decoder_layers=_LAYERS,
        encoder_attention_heads=_HEADS,
        decoder_attention_heads=_HEADS,
        encoder_ffn_dim=4 * _WIDTH,
        decoder_ffn_dim=4 * _WIDTH,
        max_source_positions=positions,
        bos_token_id=50256,
        eos_token_id=50256,
        pad_token_id=50256,
        decoder_start_token_id=50257,
    )


def _weights(arrays: Arrays) -> Named:
    """Every weight of the transformers model; the vocabulary under both of its names."""
    for number in (1, 2):
        yield from _both(arrays, f"encoder/conv{number}", f"model.encoder.conv{number}")
    for side in ("encoder", "decoder"):
        at = f"model.{side}"
        positions = arrays[f"{side}/position_encodings/encodings"]
        yield f"{at}.embed_positions.weight", _tensor(positions)
        yield from _norm(arrays, side, f"{at}.layer_norm")
        for number in range(_LAYERS):
            yield from _layer(arrays, f"{side}/layer_{number}", f"{at}.layers.{number}")
    vocabulary = _tensor(arrays["decoder/embeddings/weight"])
    yield "model.decoder.embed_tokens.weight", vocabulary
    yield "proj_out.weight", vocabulary


def _layer(arrays: Arrays, source: str, at: str) -> Named:
    own, crossed = f"{source}/self_attention", f"{source}/attention"
    yield from _packed(arrays, f"{own}/linear_0", f"{at}.self_attn", ("q_proj", "k_proj", "v_proj"))
    yield from _both(arrays, f"{own}/linear_1", f"{at}.self_attn.out_proj")
    yield from _norm(arrays, own, f"{at}.self_attn_layer_norm")
    if f"{crossed}/linear_0/weight" in arrays:
        to = f"{at}.encoder_attn"
        yield from _both(arrays, f"{crossed}/linear_0", f"{to}.q_proj")
        yield from _packed(arrays, f"{crossed}/linear_1", to, ("k_proj", "v_proj"))
        yield from _both(arrays, f"{crossed}/linear_2", f"{to}.out_proj")
        yield from _norm(arrays, crossed, f"{at}.encoder_attn_layer_norm")
    yield from _both(arrays, f"{source}/ffn/linear_0", f"{at}.fc1")
    yield from _both(arrays, f"{source}/ffn/linear_1", f"{at}.fc2")
    yield from _norm(arrays, f"{source}/ffn", f"{at}.final_layer_norm")


def _packed(arrays: Arrays, source: str, at: str, parts: tuple[str, ...]) -> Named:
    """Projections that CTranslate2 stacks in one; transformers gives keys no bias."""
    weight, bias = _tensor(arrays[f"{source}/weight"]), _tensor(arrays[f"{source}/bias"])
    stacked = torch.split(weight, _WIDTH), torch.split(bias, _WIDTH)
    for part, rows, offset in zip(parts, *stacked, strict=True):
        yield f"{at}.{part}.weight", rows
        if part != "k_proj":
            yield f"{at}.{part}.bias", offset


def _both(arrays: Arrays, source: str, at: str) -> Named:
    yield f"{at}.weight", _tensor(arrays[f"{source}/weight"])
    yield f"{at}.bias", _tensor(arrays[f"{source}/bias"])


def _norm(arrays: Arrays, source: str, at: str) -> Named:
    yield f"{at}.weight", _tensor(arrays[f"{source}/layer_norm/gamma"])
    yield f"{at}.bias", _tensor(arrays[f"{source}/layer_norm/beta"])


def _tensor(array: Any) -> Tensor:
    return torch.tensor(array, dtype=torch.float32)
