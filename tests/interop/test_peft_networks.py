"""PEFT reads a whole network of ours: mixed ranks, names that end alike, heads."""

import json
import re
from pathlib import Path

import pytest
import torch
from peft_adapters import in_peft, saved
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import mobilenet_v2

import autolora
from autolora.lora.example import Example
from autolora.testing.stage import (
    close,
    randomise,
    stage,
)

# PEFT's own notices: no task type, a regex that its tied-weight check does not know.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:peft"),
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors"),
]


def network() -> nn.Module:
    """MobileNetV2 with statistics that keep signals alive: fresh ones fade over 50 layers."""
    torch.manual_seed(0)
    model = mobilenet_v2(weights=None).double()
    model.train()
    with torch.no_grad():
        model(torch.randn(4, 3, 64, 64).double())
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.copy_(torch.randn(layer.num_features) * 0.1)
                layer.running_var.copy_(layer.running_var * 10 * (0.5 + torch.rand(1)))
                layer.weight.uniform_(0.7, 1.3)
    return model.eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(3)).double()


@pytest.fixture(scope="module")
def trained(images: Tensor) -> nn.Module:
    model = network()
    kinds = ("conv", "pointwise")
    chosen = [t for t in autolora.targets(model) if t.kind in kinds]
    ranks = {t.name: i % 4 for i, t in enumerate(chosen)}
    adapter = autolora.attach(model, ranks, scale=lambda rank: 0.7 / rank).also_train(
        "classifier.1"
    )
    randomise(adapter)
    with torch.no_grad():
        for part in adapter.factors.values():
            part.down.div_(part.down.shape[1] ** 0.5)
        nn.init.normal_(model.get_parameter("classifier.1.weight"), std=0.3)
    return model


@pytest.fixture
def folder(trained: nn.Module, tmp_path: Path) -> Path:
    assert saved(trained, tmp_path / "a") == ()
    return tmp_path / "a"


@torch.no_grad()
def test_a_real_network_with_mixed_ranks(folder: Path, trained: nn.Module, images: Tensor) -> None:
    base = network()
    wanted = trained(images)
    assert wanted.std() > 0.1
    assert (base(images) - wanted).abs().max() > 0.1
    loaded = in_peft(base, folder)
    torch.testing.assert_close(loaded(images), wanted, atol=1e-9, rtol=1e-9)
    merged = loaded.merge_and_unload()
    torch.testing.assert_close(merged(images), wanted, atol=1e-9, rtol=1e-9)


def test_a_loader_with_one_scale_for_all_reads_it_right(folder: Path, trained: nn.Module) -> None:
    """As vLLM does: alpha / r of the whole configuration, no patterns."""
    config = json.loads((folder / "adapter_config.json").read_text())
    tensors = load_file(folder / "adapter_model.safetensors")
    scale = config["lora_alpha"] / config["r"]
    adapter = autolora.Adapter.capture(trained)
    assert config["r"] == max(adapter.allocation.values())
    assert len(set(adapter.allocation.values())) == 3
    for name, target in adapter.targets.items():
        key = f"base_model.model.{target.layer}.lora_"
        a, b = tensors[f"{key}A.weight"].flatten(1), tensors[f"{key}B.weight"].flatten(1)
        up, down = adapter.factors[name]
        torch.testing.assert_close(scale * b @ a, adapter.scales[name] * up @ down)


def test_patterns_name_one_layer_each(folder: Path) -> None:
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["rank_pattern"] == config["alpha_pattern"]
    names = [name for name, _ in network().named_modules()]
    for pattern in config["rank_pattern"]:
        assert len([n for n in names if re.match(rf"(.*\.)?({pattern})$", n)]) == 1
    assert config["modules_to_save"] == ["classifier.1"]


class Alike(nn.Module):
    """Names that end alike, and names that look like PEFT's own."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(5, 5)
        self.xa = nn.Linear(5, 5)
        self.part_A = nn.ModuleDict({"a": nn.Linear(5, 5), "lora_stem": nn.Linear(5, 5)})

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.xa(self.a(self.part_A["a"](self.part_A["lora_stem"](x))))
        return y


def test_names_that_end_alike_are_told_apart(tmp_path: Path) -> None:
    base = stage(Example("alike", Alike, lambda: (torch.randn(2, 5),)), "no_grad")
    made = stage(Example("alike", Alike, lambda: (torch.randn(2, 5),)), "no_grad")
    names = ("a.weight", "part_A.a.weight", "part_A.lora_stem.weight")
    randomise(autolora.attach(made.model, {name: 1 + i for i, name in enumerate(names)}))
    assert saved(made.model, tmp_path / "a") == ()
    ours = base.of(Alike().double())
    ours.model.load_state_dict(base.model.state_dict())
    autolora.load(ours.model, tmp_path / "a")
    close(ours.answer(), made.answer())
    close(base.of(in_peft(base.model, tmp_path / "a")).answer(), made.answer())


class Branches(nn.Module):
    """Heads that PEFT would place wrongly: it goes by the end of a path."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        self.subhead = nn.Linear(4, 4)
        self.head = nn.Linear(4, 4)
        self.far = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.far(self.head(self.subhead(self.block(x))))
        return scores


@pytest.mark.parametrize(
    ("heads", "beside"),
    [
        (["far"], ()),
        (["head"], ("head.bias", "head.weight")),  # it would take subhead, too
        (["subhead"], ()),
        (["block"], ("block.0.weight",)),  # a target inside a head
        (["block.1", "far"], ()),
    ],
    ids=str,
)
def test_heads(heads: list[str], beside: tuple[str, ...], tmp_path: Path) -> None:
    torch.manual_seed(0)
    base, other, made = (Branches().double() for _ in range(3))
    for model in (other, made):
        model.load_state_dict(base.state_dict())
    adapter = autolora.attach(made, {"block.0.weight": 2, "subhead.weight": 1} | {"far.weight": 0})
    if "subhead" in heads:
        autolora.detach(made)
        adapter = autolora.attach(made, {"block.0.weight": 2})
    randomise(adapter.also_train(*heads))
    for name in heads:
        for parameter in made.get_submodule(name).parameters():
            nn.init.normal_(parameter) if parameter.requires_grad else None
    assert saved(made, tmp_path / "a") == beside
    x = torch.randn(2, 4).double()
    autolora.load(other, tmp_path / "a")
    close([other(x)], [made(x)])
    if not beside:
        close([in_peft(base, tmp_path / "a")(x)], [made(x)])
