"""In evaluation an encoder layer reads its weights in one fused kernel and calls no layer inside.

PEFT's wrappers answer that read with the base weight: the adapter is silently gone.
"""

import copy

import pytest
import torch
from torch import Tensor, nn

from autolora.lora import Allocation, attach, merge, targets
from autolora.testing.stage import fast_path, randomise


@pytest.fixture
def layer() -> nn.TransformerEncoderLayer:
    torch.manual_seed(0)
    return nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True).eval()


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("name", ["linear1.weight", "linear2.weight", "self_attn.out_proj.weight"])
def test_ours_holds_for_each_target_alone(
    layer: nn.TransformerEncoderLayer, x: Tensor, name: str, *, grad: bool
) -> None:
    with torch.set_grad_enabled(grad):
        before = layer(x)
        randomise(attach(layer, {name: 2}))
        after = layer(x)
        merge(layer)
        assert not torch.allclose(after, before, atol=1e-2)
        torch.testing.assert_close(layer(x), after, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_fused_path_of_the_plain_layer_comes_back(
    layer: nn.TransformerEncoderLayer, x: Tensor
) -> None:
    plain = copy.deepcopy(layer)
    merged = merge_all(layer)
    with fast_path(True):
        fused = layer(x)
    with fast_path(False):
        torch.testing.assert_close(layer(x), fused)
    merged.unmerge()
    assert type(layer) is type(plain)


@torch.no_grad()
def test_peft_loses_the_adapter_here(layer: nn.TransformerEncoderLayer, x: Tensor) -> None:
    peft = pytest.importorskip("peft")
    before = layer(x)
    config = peft.LoraConfig(
        r=2, target_modules=["linear1", "linear2"], init_lora_weights=False, lora_dropout=0.0
    )
    wrapped = peft.get_peft_model(layer, config).eval()
    lost = torch.allclose(wrapped(x), before, atol=1e-5)
    with fast_path(False):
        works = not torch.allclose(wrapped(x), before, atol=1e-2)
    assert works, "the contrast needs an adapter that does something"
    assert lost, "PEFT holds here now: say so in docs/decisions/0001"


def merge_all(model: nn.Module):
    randomise(attach(model, Allocation.uniform(targets(model), 2)))
    return merge(model)
