"""RWKV divides weights in place before it answers in evaluation; such an edit would be lost."""

from dataclasses import replace

import pytest
import torch
import whole
from torch import nn
from whole import Row

from autolora.errors import InPlaceEdit
from autolora.testing.stage import attach_everywhere


def rwkv(rescale_every: int) -> nn.Module:
    from transformers import RwkvConfig, RwkvForCausalLM

    config = RwkvConfig(
        vocab_size=61,
        hidden_size=32,
        attention_hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        rescale_every=rescale_every,
    )
    return RwkvForCausalLM(config)


RWKV = Row(
    "rwkv",
    lambda: rwkv(1),
    lambda: {"input_ids": torch.randint(3, 61, (2, 9)), "use_cache": False},
)


def test_it_is_refused_rather_than_lost() -> None:
    model = RWKV.model("train")
    attach_everywhere(model)
    RWKV.run(model)
    with pytest.raises(InPlaceEdit, match=r"`\.div_` of an adapted weight"):
        RWKV.run(model.eval())


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_without_the_division_all_holds(mode: str) -> None:
    row = replace(RWKV, build=lambda: rwkv(0))
    whole.it_equals_the_dense_delta(row, mode)
    whole.gradients_follow_the_chain_rule(row, mode)
    whole.every_target_matters(row)
