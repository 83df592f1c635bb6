"""Mixed batches in models of transformers."""

import pytest
import torch
from mixed_cases import PATTERNS, RANKS, Call, check_gradients, close, looped, randomised, words
from torch import Tensor, nn

import autolora
from autolora.lora import attach, targets


def bert() -> tuple[nn.Module, Call]:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=12,
    )
    return transformers.BertModel(config), lambda m, x: m(x).last_hidden_state


def llama() -> tuple[nn.Module, Call]:
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=24,
        tie_word_embeddings=False,
    )
    return transformers.LlamaForCausalLM(config), lambda m, x: m(x).logits


def whisper() -> tuple[nn.Module, Call]:
    transformers = pytest.importorskip("transformers")
    config = transformers.WhisperConfig(
        vocab_size=40,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        num_mel_bins=4,
        max_source_positions=6,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )

    def run(model: nn.Module, x: Tensor) -> Tensor:
        mel = x.double().repeat_interleave(2, 1)[:, None] * torch.arange(4.0)[:, None] / 40
        y: Tensor = model(mel, decoder_input_ids=x[:, :4]).last_hidden_state
        return y

    return transformers.WhisperModel(config), run


def vit() -> tuple[nn.Module, Call]:
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        image_size=8,
        patch_size=4,
    )

    def run(model: nn.Module, x: Tensor) -> Tensor:
        image = (x.double() / 40)[:, None, :, None].repeat(1, 3, 2, 8)[:, :, :8]
        y: Tensor = model(image).last_hidden_state
        return y

    return transformers.ViTModel(config), run


@pytest.mark.parametrize("make", [bert, llama, whisper, vit])
@pytest.mark.parametrize("names", PATTERNS.values(), ids=PATTERNS)
def test_models_of_transformers(make, names) -> None:
    torch.manual_seed(0)
    model, run = make()
    model = model.double().eval()
    found = [t for t in targets(model) if "position" not in t.name]
    for number, (name, rank) in enumerate(RANKS.items()):
        chosen = {t.name: min(rank, t.max_rank) for t in found[:: 1 + number % 2]}
        randomised(attach(model, chosen, name=name, scale=0.1 + 0.1 * number))
    randomised(attach(model, {found[-1].name: 1}, name="absent"))
    x = words(6, 6) + 3
    wanted = looped(model, x, names, run)
    with autolora.mixed(model, names):
        out = run(model, x)
    with torch.no_grad(), autolora.mixed(model, names):
        close(run(model, x), wanted)
    close(out, wanted)
    check_gradients(model, out, wanted, names)
