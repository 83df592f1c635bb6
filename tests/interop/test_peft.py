"""PEFT itself reads what we write in its format, and we read what PEFT writes."""

import copy
import json
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import mobilenet_v2

import autolora
from autolora.artifacts.peft_write import expressible
from autolora.errors import AdapterFile, NotPlainLora
from autolora.lora import views
from autolora.lora.attach import adapters
from autolora.lora.example import Example
from autolora.testing.stage import (
    MODES,
    Mode,
    Stage,
    adapted,
    attach_everywhere,
    close,
    differ,
    randomise,
    stage,
)

# PEFT's own notices: no task type, a regex that its tied-weight check does not know.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:peft"),
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors"),
]


class Within(nn.Module):
    """PEFT replaces layers in their parents, so every layer needs one."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *inputs: Any) -> Any:
        return self.inner(*inputs)


def within(example: Example) -> Example:
    return replace(example, model=lambda: Within(example.model()))


EXAMPLES = {e.name: within(e) for view in views.all_views() for e in view.EXAMPLES}
READS_WEIGHT = EXAMPLES.pop("only_weight_is_read")
ASKS_FOR_TYPE = EXAMPLES.pop("lstm_cell")  # and PEFT's layer is of another


def paths(model: nn.Module) -> list[tuple[str, bool]]:
    """Each target and whether PEFT can express it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapter = autolora.Adapter.capture(model) if attached_to(model) else made_for(model)
    inside = expressible(adapter)
    return [(name, name in inside) for name in adapter.targets]


def attached_to(model: nn.Module) -> bool:
    return bool(adapters(model))


def made_for(model: nn.Module) -> autolora.Adapter:
    made = copy.deepcopy(model)
    attach_everywhere(made)
    return autolora.Adapter.capture(made)


def whole(example: Example) -> bool:
    return all(ok for _, ok in paths(stage(example, "eval").model))


WHOLE = {name: e for name, e in EXAMPLES.items() if whole(e)}
PARTLY = {name: e for name, e in EXAMPLES.items() if name not in WHOLE}


def in_peft(model: nn.Module, folder: Path, mode: Mode = "eval") -> nn.Module:
    loaded: nn.Module = PeftModel.from_pretrained(model, folder, autocast_adapter_dtype=False)
    return loaded.train(mode == "train")


def saved(model: nn.Module, folder: Path, form: str = "peft") -> tuple[str, ...]:
    """Saves in PEFT's format; what is kept beside must be warned about, and only that."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        beside = autolora.save(model, folder, format=form)
    assert len(said) == bool(beside)
    assert all(name in str(said[0].message) for name in beside)
    return beside


@pytest.mark.parametrize("form", ["peft", "peft_uniform"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("example", WHOLE.values(), ids=WHOLE)
def test_peft_answers_as_we_do(example: Example, mode: Mode, form: str, tmp_path: Path) -> None:
    made, base = uneven(example, mode), stage(example, mode)
    assert differ(made.answer(), base.answer())
    assert saved(made.model, tmp_path / "a", form) == ()
    close(base.of(in_peft(base.model, tmp_path / "a", mode)).answer(), made.answer())
    read_twice(example, made, tmp_path)


def uneven(example: Example, mode: Mode) -> Stage:
    """An example with other ranks and scales at every target; some have none."""
    made = stage(example, mode)
    known = autolora.targets(made.model)
    ranks = {t.name: min(1 + (i + 1) % 3, t.max_rank) for i, t in enumerate(known) if i % 4 != 3}
    randomise(autolora.attach(made.model, ranks, scale=lambda rank: 0.4 / rank**0.5))
    return made


def test_what_peft_expresses_is_no_accident() -> None:
    assert set(WHOLE) == {
        "linear", "linear_tokens", "linear_wide", "embedding", "embedding_padding",
        "conv1d", "conv2d", "conv2d_unbatched", "conv2d_same", "conv2d_channels_last",
        "conv2d_strided_pointwise", "conv2d_large", "conv2d_pointwise", "conv3d",
        "rnn", "rnn_relu", "gru", "gru_packed", "lstm", "lstm_packed", "lstm_projected",
        "lstm_both_ways_projected", "rnn_cell", "gru_cell",
        "experts", "experts_at_once", "transposed_linear", "fused_attention",
    }  # fmt: skip


@pytest.mark.parametrize("example", PARTLY.values(), ids=PARTLY)
def test_what_peft_cannot_express_is_kept_beside(example: Example, tmp_path: Path) -> None:
    made = adapted(example, "no_grad")
    beside = saved(made.model, tmp_path / "a")
    assert set(beside) == {name for name, ok in paths(made.model) if not ok}
    read_twice(example, made, tmp_path)
    if len(beside) == len(paths(made.model)):
        with pytest.raises(ValueError, match=r"load it with autolora\.load"):
            in_peft(stage(example, "no_grad").model, tmp_path / "a")


def read_twice(example: Example, made: Stage, folder: Path) -> None:
    """From PEFT's format, saved again in ours, and from there."""
    for form in ("a", "b"):
        again = stage(example, made.mode)
        adapter = autolora.load(again.model, folder / form)
        assert adapter.allocation == autolora.Adapter.capture(made.model).allocation
        close(again.answer(), made.answer())
        if form == "a":
            autolora.save(again.model, folder / "b")


@pytest.mark.parametrize("mode", ["eval", "no_grad"])
def test_peft_answers_as_the_part_it_can_express(mode: Any, tmp_path: Path) -> None:
    example = EXAMPLES["decoder_layer"]
    made = adapted(example, mode)
    beside = saved(made.model, tmp_path / "a")
    part = stage(example, mode)
    full = autolora.Adapter.capture(made.model)
    ours = dict(full.allocation)
    adapter = autolora.attach(part.model, {n: r for n, r in ours.items() if n not in beside})
    with torch.no_grad():
        for name, factor in adapter.factors.items():
            factor.up.copy_(full.factors[name][0])
            factor.down.copy_(full.factors[name][1])
            factor.scale = full.scales[name]
    base = stage(example, mode)
    assert 0 < len(adapter.factors) < len(ours)
    close(base.of(in_peft(base.model, tmp_path / "a")).answer(), part.answer())


def test_a_parent_that_only_reads_the_weight_escapes_peft(tmp_path: Path) -> None:
    """The limit: nothing tells of such a parent, and PEFT's answer is the base's."""
    made, base = adapted(READS_WEIGHT, "no_grad"), stage(READS_WEIGHT, "no_grad")
    assert saved(made.model, tmp_path / "a") == ()
    close(base.of(in_peft(base.model, tmp_path / "a")).answer(), base.answer())


def test_an_encoder_layer_of_the_users_own_is_bypassed_too(tmp_path: Path) -> None:
    class Own(nn.TransformerEncoderLayer):
        pass

    def model() -> nn.Module:
        return nn.Sequential(Own(8, 2, 12, dropout=0.0, batch_first=True), nn.Linear(8, 8))

    made = adapted(Example("own", model, lambda: (torch.randn(2, 5, 8),)), "no_grad")
    beside = saved(made.model, tmp_path / "a")
    assert {n for n in made.model.state_dict() if "lora" not in n} > {"0.linear1.weight"}
    assert {n for n, _ in paths(made.model)} - set(beside) == {"1.weight"}


def test_a_layer_used_under_two_names_is_kept_beside(tmp_path: Path) -> None:
    def model() -> nn.Module:
        shared = nn.Linear(6, 6)
        return nn.Sequential(shared, nn.Tanh(), shared, nn.Linear(6, 3))

    made = adapted(Example("shared", model, lambda: (torch.randn(2, 6),)), "no_grad")
    assert saved(made.model, tmp_path / "a") == ("0.weight",)


class Recurrent(nn.Module):
    """Two recurrent layers whose paths end alike, and an attention."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = nn.GRU(6, 6)
        self.deep = nn.ModuleDict({"memory": nn.GRU(6, 6)})
        self.alone = nn.GRU(6, 6)
        self.attention = nn.MultiheadAttention(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.alone(self.deep["memory"](self.memory(x)[0])[0])[0]
        scores: Tensor = self.attention(y, y, y)[0]
        return scores


@pytest.mark.parametrize(
    ("heads", "beside"),
    [
        ((), {"memory"}),  # PEFT finds parameters by the end of their path
        (("attention.out_proj",), {"memory", "attention"}),  # and saves or adapts, not both
        (("alone",), {"memory", "alone"}),
    ],
    ids=("no head", "inside", "beside"),
)
def test_layers_that_peft_takes_as_a_whole(
    heads: tuple[str, ...], beside: set[str], tmp_path: Path
) -> None:
    example = Example("recurrent", Recurrent, lambda: (torch.randn(3, 2, 6),))
    made, base, ours = (stage(example, "no_grad") for _ in range(3))
    ranks = {t.name: 1 + i % 3 for i, t in enumerate(autolora.targets(made.model))}
    ranks = {n: r for n, r in ranks.items() if "out_proj" not in n}
    adapter = randomise(autolora.attach(made.model, ranks, scale=0.4)).also_train(*heads)
    with torch.no_grad():
        for parameter in adapter.also.values():
            parameter.normal_()
    found = saved(made.model, tmp_path / "a")
    assert {n for n in found if n in ranks} == {n for n in ranks if n.split(".")[0] in beside}
    autolora.load(ours.model, tmp_path / "a")
    close(ours.answer(), made.answer())
    part = base.of(Recurrent().double())
    part.model.load_state_dict(base.model.state_dict())
    within = autolora.attach(part.model, {n: r for n, r in ranks.items() if n not in found})
    for name, factor in within.factors.items():
        factor.load_state_dict(adapter.factors[name].state_dict())
        factor.scale = 0.4
    for name, value in adapter.also.items():
        if name not in found:
            with torch.no_grad():
                part.model.get_parameter(name).copy_(value)
    close(base.of(in_peft(base.model, tmp_path / "a")).answer(), part.answer())


# --- a real network ------------------------------------------------------------------------


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


# --- heads ---------------------------------------------------------------------------------


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


# --- what PEFT wrote -----------------------------------------------------------------------


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(11, 8)
        self.embed = nn.Embedding(11, 8)
        self.wave = nn.Conv1d(8, 6, 3, padding=1)
        self.image = nn.Conv2d(1, 4, 3, stride=2)
        self.point = nn.Conv2d(4, 5, 1)
        self.body = nn.Sequential(nn.Linear(60, 12), nn.Tanh(), nn.Linear(12, 12))
        self.head = nn.Linear(12, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        waves = self.wave((self.embed(tokens) + self.embed_tokens(tokens)).transpose(1, 2))
        image = self.point(self.image(waves[:, None]))
        scores: Tensor = self.head(self.body(image.flatten(1)))
        return scores


ALL = ["embed", "wave", "image", "point", "0", "2"]
CONFIGS: dict[str, dict[str, Any]] = {
    "list": {"target_modules": ALL},
    "regex": {"target_modules": r"body\.[02]|wave"},
    "patterns": {
        "target_modules": ALL,
        "rank_pattern": {"body.0": 5, "^wave": 2},
        "alpha_pattern": {"body.*": 3, "body.0": 99, "image": 7},
    },
    "rslora": {"target_modules": ALL, "use_rslora": True, "lora_alpha": 5},
    "rslora patterns": {
        "target_modules": ALL,
        "use_rslora": True,
        "rank_pattern": {"body.0": 5},
        "alpha_pattern": {"point": 3},
    },
    "head": {"target_modules": ["wave"], "modules_to_save": ["head"]},
    "whole table beside it": {"target_modules": ["embed_tokens", "wave"]},
    "gaussian": {"target_modules": ["wave"], "init_lora_weights": "gaussian"},
}


@pytest.fixture
def mixed() -> Iterator[Callable[[], Mixed]]:
    def make() -> Mixed:
        torch.manual_seed(0)
        return Mixed().double().eval()

    return make  # type: ignore[return-value]


def by_peft(model: nn.Module, folder: Path, **config: Any) -> nn.Module:
    """A model that PEFT adapted, with random factors, saved by PEFT."""
    settings = {"r": 4, "lora_alpha": 6, **config}
    made = get_peft_model(model, LoraConfig(**settings), autocast_adapter_dtype=False).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    made.save_pretrained(folder)
    return made


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_we_answer_as_peft_does(
    config: dict[str, Any], mixed: Callable[[], Mixed], tmp_path: Path
) -> None:
    tokens = torch.randint(11, (3, 13), generator=torch.Generator().manual_seed(2))
    made = by_peft(mixed(), tmp_path / "a", **config)
    model = mixed()
    before = model(tokens)
    adapter = autolora.load(model, tmp_path / "a")
    close([model(tokens)], [made(tokens)])
    assert differ([before], [model(tokens)])
    assert set(adapter.also) == ({"head.weight", "head.bias"} if "head" in str(config) else set())


OTHERWISE: dict[str, Callable[[], nn.Module]] = {
    "grouped": lambda: nn.Conv1d(4, 4, 3, groups=2),
    "padded": lambda: nn.Conv1d(4, 4, 3, padding=1, padding_mode="circular"),
    "dilated": lambda: nn.Conv1d(4, 4, 3, padding="same", dilation=2),
}


@pytest.mark.parametrize("layer", OTHERWISE.values(), ids=OTHERWISE)
def test_what_peft_adapts_otherwise_is_refused(
    layer: Callable[[], nn.Module], tmp_path: Path
) -> None:
    by_peft(Within(layer()), tmp_path / "a", target_modules=["inner"])
    model = Within(layer())
    before = {n: type(m) for n, m in model.named_modules()}
    with pytest.raises(AdapterFile, match="that PEFT adapts otherwise than we"):
        autolora.load(model, tmp_path / "a")
    assert {n: type(m) for n, m in model.named_modules()} == before


def test_a_tied_layer_that_peft_adapted_alone_is_refused(tmp_path: Path) -> None:
    def model() -> nn.Module:
        return nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 7))

    def tied() -> nn.Module:
        made = model()
        made[1].weight = made[0].weight  # type: ignore[index]
        return made

    for number in ("0", "1"):
        by_peft(model(), tmp_path / number, target_modules=[number])
        with pytest.raises(AdapterFile, match="adapts otherwise"):
            autolora.load(tied(), tmp_path / number)


def test_an_adapter_of_peft_in_an_encoder_layer_is_read(tmp_path: Path) -> None:
    def model() -> nn.Module:
        torch.manual_seed(0)
        return Within(nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True))

    made = by_peft(model(), tmp_path / "a", target_modules=["linear1", "linear2"])
    ours, x = model(), torch.randn(2, 5, 8)
    autolora.load(ours, tmp_path / "a")
    torch.testing.assert_close(ours.eval()(x), made.train()(x))  # its eval mode forgets them


def test_dora_is_refused(mixed: Callable[[], Mixed], tmp_path: Path) -> None:
    by_peft(mixed(), tmp_path / "a", target_modules=["wave"], use_dora=True)
    with pytest.raises(NotPlainLora, match="DoRA"):
        autolora.load(mixed(), tmp_path / "a")
