"""What is particular to the tensor subclasses of torchao."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autolora.errors import NotRequantisable, RefusedTarget
from autolora.lora import attach, merge, targets
from autolora.lora.quantised import is_quantised, plain

quantization = pytest.importorskip("torchao.quantization")


@pytest.fixture
def layer() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(64, 32)


def quantised(layer: nn.Linear, config: object) -> nn.Linear:
    quantization.quantize_(nn.Sequential(layer), config)
    return layer


def stirred(layer: nn.Linear) -> Tensor:
    """The dense delta of a random adapter."""
    part = attach(layer, {"weight": 2}).factors["weight"]
    nn.init.normal_(part.up)
    return part.dense().detach()


def test_other_functions_receive_the_dequantised_sum(layer: nn.Linear) -> None:
    base = quantised(layer, quantization.Int8WeightOnlyConfig()).weight
    delta, x = stirred(layer), torch.randn(3, 64)
    torch.testing.assert_close(layer.weight.dense(), plain(base) + delta)
    torch.testing.assert_close(x @ layer.weight.T, x @ (plain(base) + delta).T)
    torch.testing.assert_close(torch.relu(layer.weight), torch.relu(plain(base) + delta))
    # A parent that reads the weight does not lose the delta.
    torch.testing.assert_close(F.linear(x, layer.weight), x @ (plain(base) + delta).T)


def test_a_block_of_a_packed_weight() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv = quantised(nn.Linear(64, 192), quantization.Int8WeightOnlyConfig())

    model, x = Attention(), torch.randn(3, 64)
    before = model.qkv(x)
    assert [t.block for t in targets(model)] == ["query", "key", "value"]
    part = attach(model, {"qkv.weight[key]": 2}).factors["qkv.weight[key]"]
    nn.init.normal_(part.up)
    after = model.qkv(x)
    assert torch.equal(after[:, :64], before[:, :64])
    assert torch.equal(after[:, 128:], before[:, 128:])
    torch.testing.assert_close(after[:, 64:128], before[:, 64:128] + x @ part.dense().T)


def test_quantised_inputs_are_refused(layer: nn.Linear) -> None:
    """Its own backward gives the layers before it no gradient, and says nothing."""
    model = nn.Sequential(quantised(layer, quantization.Int8DynamicActivationInt8WeightConfig()))
    x = torch.randn(3, 64, requires_grad=True)
    model(x).sum().backward()
    assert x.grad is None
    assert targets(model) == ()
    with pytest.raises(RefusedTarget) as error:
        attach(model, {"0.weight": 1})
    assert str(error.value) == (
        "0.weight cannot be adapted: its inputs are quantised too, and no gradient passes that; "
        "quantise weights only (Int8WeightOnlyConfig, say)"
    )


def test_scaled_inputs_are_refused(layer: nn.Linear) -> None:
    """What AWQ leaves: the values of the weight are not what it multiplies the input by."""
    quantised(layer, quantization.Int8WeightOnlyConfig())
    layer.weight.act_pre_scale = torch.full((64,), 0.5)  # type: ignore[attr-defined]
    with pytest.raises(RefusedTarget) as error:
        attach(layer, {"weight": 1})
    assert str(error.value) == (
        "weight cannot be adapted: it scales its inputs too, so that its values are not what it "
        "multiplies by; quantise it without AWQ or SmoothQuant"
    )


def test_a_kind_that_cannot_be_quantised_anew(layer: nn.Linear) -> None:
    """It carries a delta all the same: it says what its values are, and that is enough."""
    model = nn.Sequential(quantised(layer, quantization.Float8WeightOnlyConfig()))
    x, base = torch.randn(3, 64), plain(layer.weight)
    part = attach(model, {"0.weight": 2}).factors["0.weight"]
    nn.init.normal_(part.up)
    answer = model(x)
    torch.testing.assert_close(answer, F.linear(x, base + part.dense(), layer.bias))
    with pytest.raises(NotRequantisable) as error:
        merge(model, requantise=True)
    assert "0.weight is a Float8Tensor, and how it was quantised is not known" in str(error.value)
    assert torch.equal(model(x), answer)


def test_plain_tensors_are_not_quantised() -> None:
    assert not is_quantised(torch.ones(2))
    assert not is_quantised(nn.Parameter(torch.ones(2)))
    value = torch.ones(2)
    assert plain(value) is value
