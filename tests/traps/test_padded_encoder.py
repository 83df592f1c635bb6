"""An encoder packs a padded batch into a nested tensor after a look at its first layer only."""

import pytest
import torch
from torch import Tensor, nn

from autolora.lora import attach, detach, merge
from autolora.testing.stage import randomise

pytestmark = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
LATER = {"layers.2.linear1.weight": 2, "layers.2.self_attn.in_proj_weight[query]": 2}


@pytest.fixture
def encoder() -> nn.TransformerEncoder:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    return nn.TransformerEncoder(layer, 3).double().eval()


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    padding = torch.tensor([[False] * 3 + [True] * 2, [False] * 5])
    return torch.randn(2, 5, 8, dtype=torch.float64), padding


@pytest.mark.parametrize("grad", [True, False])
def test_only_a_later_layer_is_adapted(
    encoder: nn.TransformerEncoder, batch: tuple[Tensor, Tensor], *, grad: bool
) -> None:
    x, padding = batch
    with torch.set_grad_enabled(grad):
        before = encoder(x, src_key_padding_mask=padding)[~padding]
        randomise(attach(encoder, LATER))
        after = encoder(x, src_key_padding_mask=padding)[~padding]
        assert not torch.allclose(after, before, atol=1e-3)
        merged = merge(encoder)
        plain = encoder(x, src_key_padding_mask=padding)[~padding]
        torch.testing.assert_close(plain, after)
        merged.unmerge()
        again = encoder(x, src_key_padding_mask=padding)[~padding]
        assert torch.equal(again, after)


def test_the_setting_comes_back(encoder: nn.TransformerEncoder) -> None:
    assert encoder.use_nested_tensor
    attach(encoder, LATER, name="a")
    attach(encoder, LATER, name="b")
    assert not encoder.use_nested_tensor
    detach(encoder, "a")
    assert not encoder.use_nested_tensor
    detach(encoder, "b")
    assert encoder.use_nested_tensor
    merged = merge_fresh(encoder)
    assert encoder.use_nested_tensor
    merged.unmerge()
    assert not encoder.use_nested_tensor


def test_an_encoder_without_adapted_layers_is_left_alone(encoder: nn.TransformerEncoder) -> None:
    model = nn.ModuleDict({"encoder": encoder, "head": nn.Linear(8, 2)})
    attach(model, {"head.weight": 1})
    assert encoder.use_nested_tensor


def merge_fresh(encoder: nn.TransformerEncoder):
    attach(encoder, LATER)
    return merge(encoder)
