"""A parent reads `.weight` of a layer that it never calls: a wrapped layer would be ignored."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autolora.lora import attach
from autolora.testing.stage import randomise


class ReadsKernel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Conv1d(4, 4, 3, groups=4)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv1d(x, self.kernel.weight, self.kernel.bias, padding=1, groups=4)


def test_attention_reads_the_weight_of_its_output_projection() -> None:
    layer = nn.MultiheadAttention(8, 2).double()
    x = torch.randn(5, 2, 8, dtype=torch.float64)
    before = layer(x, x, x)[0]
    adapter = randomise(attach(layer, {"out_proj.weight": 2}))
    after = layer(x, x, x)[0]
    assert not torch.equal(after, before)
    torch.autograd.backward(after.sum())
    assert all(p.grad is not None for p in adapter.parameters())


def test_a_kernel_that_is_only_read() -> None:
    model = ReadsKernel().double()
    x = torch.randn(2, 4, 9, dtype=torch.float64)
    part = randomise(attach(model, {"kernel.weight": 1})).factors["kernel.weight"]
    base = model.kernel._parameters["weight"]
    wanted = F.conv1d(x, base + part.dense().view(4, 1, 3), model.kernel.bias, 1, 1, 1, 4)
    torch.testing.assert_close(model(x), wanted)


def test_a_layer_still_tells_what_it_is() -> None:
    model = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2))
    attach(model, {"0.weight": 2})
    layer = model[0]
    assert type(layer) is nn.Conv2d
    assert layer.stride == (2, 2)
    assert layer.weight.shape == (6, 4, 3, 3)
    assert len(layer.weight) == 6
    assert (layer.weight.dtype, layer.weight.device.type) == (torch.float32, "cpu")
