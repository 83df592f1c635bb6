"""Mixtures of experts of transformers, tiny and from random weights."""

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
    "num_key_value_heads": 2,
    "num_experts_per_tok": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "experts_implementation": "eager",  # the grouped product of torch refuses float64
}


def _tokens() -> Mapping[str, Any]:
    return {"input_ids": torch.randint(3, 61, (2, 9)), "use_cache": False}


def mixtral() -> nn.Module:
    from transformers import MixtralConfig, MixtralForCausalLM

    return MixtralForCausalLM(MixtralConfig(**_SMALL, num_local_experts=4))


def gpt_oss() -> nn.Module:
    """Its experts are stored transposed, with gate and up interleaved."""
    from transformers import GptOssConfig, GptOssForCausalLM

    return GptOssForCausalLM(GptOssConfig(**_SMALL, head_dim=8, num_local_experts=4))


def deepseek() -> nn.Module:
    """Attention through a narrow latent, an expert that all tokens share."""
    from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

    narrow = {"kv_lora_rank": 8, "q_lora_rank": 8}
    heads = {"qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8}
    config = DeepseekV3Config(
        **{**_SMALL, "num_key_value_heads": 4},
        **narrow,
        **heads,
        n_routed_experts=4,
        n_group=2,
        topk_group=2,
        moe_intermediate_size=24,
        first_k_dense_replace=1,
    )
    return DeepseekV3ForCausalLM(config)


def jamba() -> nn.Module:
    """Attention, Mamba and experts in one."""
    from transformers import JambaConfig, JambaForCausalLM

    config = JambaConfig(
        **_SMALL,
        num_experts=4,
        mamba_dt_rank=4,
        use_mamba_kernels=False,
        attn_layer_offset=1,
        attn_layer_period=2,
    )
    return JambaForCausalLM(config)


ROWS = (
    Row("mixtral", mixtral, _tokens),
    Row("gpt_oss", gpt_oss, _tokens),
    Row("deepseek", deepseek, _tokens),
    Row("jamba", jamba, _tokens),
)
