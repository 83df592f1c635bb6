"""Language models of transformers, tiny and from random weights."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from whole import Row

_SMALL = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
_PLAIN = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def _tokens() -> Mapping[str, Any]:
    return {"input_ids": torch.randint(3, 61, (2, 9)), "use_cache": False}


def gpt2() -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=61, n_positions=16, n_embd=32, n_layer=2, n_head=4, **_PLAIN)
    return GPT2LMHeadModel(config)


def llama() -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**_SMALL, **_PLAIN, num_key_value_heads=2))


def bert() -> nn.Module:
    from transformers import BertConfig, BertModel

    return BertModel(BertConfig(**_SMALL, max_position_embeddings=16))


def t5() -> nn.Module:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=61,
        d_model=32,
        d_kv=8,
        d_ff=48,
        num_layers=2,
        num_heads=4,
        decoder_start_token_id=0,
    )
    return T5ForConditionalGeneration(config)


def mamba() -> nn.Module:
    from transformers import MambaConfig, MambaForCausalLM

    config = MambaConfig(
        vocab_size=61, hidden_size=32, state_size=8, num_hidden_layers=2, time_step_rank=4
    )
    return MambaForCausalLM(config)


def falcon_h1() -> nn.Module:
    """Attention and Mamba side by side, by kernels that read weights."""
    from transformers import FalconH1Config, FalconH1ForCausalLM

    mixer = {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8}
    return FalconH1ForCausalLM(FalconH1Config(**_SMALL, **_PLAIN, **mixer, num_key_value_heads=2))


def deberta() -> nn.Module:
    """Its relative positions pass the projections of the contents once more."""
    from transformers import DebertaV2Config, DebertaV2Model

    config = DebertaV2Config(
        **_SMALL,
        max_position_embeddings=16,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
    )
    return DebertaV2Model(config)


def _pair() -> Mapping[str, Any]:
    return {**_tokens(), "decoder_input_ids": torch.randint(3, 61, (2, 6))}


ROWS = (
    Row("gpt2", gpt2, _tokens),
    Row("llama", llama, _tokens),
    Row("bert", bert, lambda: {"input_ids": torch.randint(3, 61, (2, 9))}),
    Row("t5", t5, _pair),
    Row("mamba", mamba, _tokens),
    Row("falcon_h1", falcon_h1, _tokens),
    Row("deberta", deberta, lambda: {"input_ids": torch.randint(3, 61, (2, 9))}),
)
