"""The same small model on every kind of quantised base that runs on a CPU."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

Make = Callable[[], nn.Sequential]


@dataclass(frozen=True)
class Kind:
    """A kind of quantised base: how to make one, and how coarse its grid is."""

    make: Make
    coarseness: float  # the relative error that quantising normal numbers may have


def plain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(256, 64), nn.Tanh(), nn.Linear(64, 256, bias=False)).train()


def torchao(config: Callable[[ModuleType], Any]) -> Make:
    def make() -> nn.Sequential:
        quantization = _imported("torchao.quantization")
        model = plain()
        quantization.quantize_(model, config(quantization))
        for layer in model:  # a function that torchao leaves for `print`, and no pickle can take
            layer.__dict__.pop("extra_repr", None)
        return model

    return make


def nf4() -> nn.Sequential:
    to_nf4 = _imported("torchao.quantization.quantize_.workflows.nf4.nf4_tensor").to_nf4
    model = plain()
    for layer in (model[0], model[2]):
        layer.weight = nn.Parameter(to_nf4(layer.weight.detach()), requires_grad=False)
    return model


def bits(name: str, **options: Any) -> Make:
    def make() -> nn.Sequential:
        cls, model = getattr(_imported("bitsandbytes").nn, name), plain()
        for i in (0, 2):
            old = model[i]
            model[i] = cls(old.in_features, old.out_features, old.bias is not None, **options)
            model[i].load_state_dict(old.state_dict())
        return model.to("cpu")

    return make


TORCHAO = {
    "int8": Kind(torchao(lambda q: q.Int8WeightOnlyConfig()), 0.01),
    "int8 in groups": Kind(
        torchao(lambda q: q.Int8WeightOnlyConfig(granularity=q.PerGroup(32))), 0.01
    ),
    # Int4WeightOnlyConfig packs for GPUs alone; this is its kind of 4 bits on a CPU.
    "int4": Kind(
        torchao(
            lambda q: q.IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=q.PerGroup(32))
        ),
        0.15,
    ),
    "NF4Tensor": Kind(nf4, 0.15),
}
BITSANDBYTES = {
    "Linear4bit nf4": Kind(bits("Linear4bit", quant_type="nf4"), 0.15),
    "Linear4bit fp4": Kind(bits("Linear4bit", quant_type="fp4", compress_statistics=False), 0.2),
    # The bytes lie in bfloat16, as sharded training wants them.
    "Linear4bit stored": Kind(
        bits("Linear4bit", quant_type="nf4", quant_storage=torch.bfloat16), 0.15
    ),
    "Linear8bitLt": Kind(bits("Linear8bitLt", has_fp16_weights=False), 0.01),
}
KINDS = TORCHAO | BITSANDBYTES


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


@pytest.fixture
def make(kind: Kind) -> Make:
    return kind.make


@pytest.fixture
def x() -> Tensor:
    return torch.randn(3, 5, 256, generator=torch.Generator().manual_seed(1))


def _imported(name: str) -> Any:
    with warnings.catch_warnings():  # what these libraries say of torch while they are imported
        warnings.simplefilter("ignore")
        return pytest.importorskip(name)
