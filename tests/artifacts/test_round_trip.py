"""What is saved comes back: factors, scales, a trained head, and what was told about it."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import autolora
from autolora.artifacts.folder import read
from autolora.artifacts.merged import write_merged
from autolora.errors import OtherBase
from autolora.testing.stage import randomise

Make = Callable[[], nn.Module]

FORMATS = ["autolora", "peft", "peft_uniform", "diffusers", "kohya"]


def quietly(model: nn.Module, folder: Path, form: str) -> tuple[str, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return autolora.save(model, folder, format=form)


@pytest.mark.parametrize("form", FORMATS)
def test_a_loaded_adapter_answers_as_the_saved_one(
    form: str, base: Make, trained: nn.Module, x: Tensor, tmp_path: Path
) -> None:
    quietly(trained, tmp_path / "a", form)
    model = base()
    before = model(x)
    adapter = autolora.load(model, tmp_path / "a")
    torch.testing.assert_close(model(x), trained(x), atol=1e-6, rtol=1e-6)
    assert (model(x) - before).abs().max() > 0.1
    assert adapter.allocation == autolora.Adapter.capture(trained).allocation
    assert set(adapter.also) == {"head.weight", "head.bias"}


def test_our_own_format_is_exact(base: Make, trained: nn.Module, x: Tensor, tmp_path: Path) -> None:
    autolora.save(trained, tmp_path / "a")
    model = base()
    loaded = autolora.load(model, tmp_path / "a")
    assert torch.equal(model(x), trained(x))
    assert loaded.scales["features.0.weight"] == 1.3 / 3
    assert autolora.Adapter.capture(model).digest == autolora.Adapter.capture(trained).digest


def test_bytes_are_the_same_adapter(trained: nn.Module) -> None:
    adapter = autolora.Adapter.capture(trained, about={"title": "T"})
    again = autolora.Adapter.from_bytes(adapter.to_bytes())
    assert again.digest == adapter.digest
    assert (again.targets, again.base, again.about) == (
        adapter.targets,
        adapter.base,
        {"title": "T"},
    )
    assert again.to_bytes() == adapter.to_bytes()


@pytest.mark.parametrize("form", FORMATS)
def test_a_head_without_deltas_comes_back(form: str, base: Make, x: Tensor, tmp_path: Path) -> None:
    trained = base()
    autolora.attach(trained, {}).also_train("head")
    nn.init.normal_(trained.get_parameter("head.weight"))
    beside = quietly(trained, tmp_path / "a", form)
    assert beside == (() if form == "autolora" else ("head.bias", "head.weight"))
    model = base()
    adapter = autolora.load(model, tmp_path / "a")
    assert torch.equal(model(x), trained(x))
    assert (adapter.allocation, adapter.factors) == (autolora.Allocation(), {})
    assert {n for n, p in model.named_parameters() if p.requires_grad} == set(adapter.also)


@pytest.mark.parametrize("form", FORMATS)
def test_a_tied_head_comes_back(form: str, tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(6, 6)
            self.look_up = nn.Embedding(11, 6)
            self.predict = nn.Linear(6, 11, bias=False)
            self.predict.weight = self.look_up.weight

        def forward(self, tokens: Tensor) -> Tensor:
            scores: Tensor = self.predict(self.body(self.look_up(tokens)))
            return scores

    def make() -> Tied:
        torch.manual_seed(0)
        return Tied()

    trained, model, tokens = make(), make(), torch.arange(11)
    randomise(autolora.attach(trained, {"body.weight": 2}).also_train("predict"))
    nn.init.normal_(trained.predict.weight)
    beside = quietly(trained, tmp_path / "a", form)
    assert beside == (() if form == "autolora" else ("look_up.weight",))  # PEFT would untie it
    autolora.load(model, tmp_path / "a")
    torch.testing.assert_close(model(tokens), trained(tokens))
    assert model.predict.weight is model.look_up.weight


def test_a_wider_base_is_accepted(
    base: Make, trained: nn.Module, x: Tensor, tmp_path: Path
) -> None:
    autolora.save(trained, tmp_path / "a")
    model = base().double()
    adapter = autolora.load(model, tmp_path / "a")
    assert adapter.factors["features.0.weight"].up.dtype == torch.float64
    torch.testing.assert_close(model(x.double()).float(), trained(x), atol=1e-5, rtol=1e-5)


def test_a_second_adapter_of_another_name(
    base: Make, trained: nn.Module, x: Tensor, tmp_path: Path
) -> None:
    autolora.save(trained, tmp_path / "a")
    model = base()
    autolora.load(model, tmp_path / "a", name="first")
    autolora.save(model, tmp_path / "b", name="first")
    again = base()
    autolora.load(again, tmp_path / "b")
    assert torch.equal(again(x), trained(x))


@pytest.mark.parametrize("form", FORMATS)
def test_merged_weights_load_into_a_plain_model(
    form: str, base: Make, trained: nn.Module, x: Tensor, tmp_path: Path
) -> None:
    quietly(trained, tmp_path / "a", form)
    file = tmp_path / "merged.safetensors"
    assert write_merged(base(), tmp_path / "a", file) == len(base().state_dict())
    plain = base()
    plain.load_state_dict(load_file(file))
    torch.testing.assert_close(plain(x), trained(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("form", FORMATS)
def test_tied_weights_merge_once_and_stand_under_both_names(form: str, tmp_path: Path) -> None:
    """One file without an index, which a plain model reads with its weights tied or not."""

    def make(*, tied: bool = True) -> nn.ModuleDict:
        torch.manual_seed(0)
        model = nn.ModuleDict({"look_up": nn.Embedding(11, 6), "predict": nn.Linear(6, 11, False)})
        model["predict"].weight = nn.Parameter(model["look_up"].weight.detach().clone())
        if tied:
            model["predict"].weight = model["look_up"].weight
        return model.double()

    def answer(model: nn.ModuleDict) -> Tensor:
        scores: Tensor = model["predict"](model["look_up"](torch.arange(11)))
        return scores

    trained = make()
    randomise(autolora.attach(trained, {"look_up.weight": 3}, scale=0.3))
    quietly(trained, tmp_path / "a", form)
    file = tmp_path / "merged.safetensors"
    assert write_merged(make(), tmp_path / "a", file) == 2
    assert [p.name for p in tmp_path.glob("merged*")] == ["merged.safetensors"]
    state = load_file(file)
    assert set(state) == {"look_up.weight", "predict.weight"}
    assert torch.equal(state["look_up.weight"], state["predict.weight"])
    for tied in (True, False):
        plain = make(tied=tied)
        before = answer(plain)
        plain.load_state_dict(state)
        torch.testing.assert_close(answer(plain), answer(trained), atol=1e-9, rtol=1e-9)
        assert (answer(plain) - before).abs().max() > 0.1
        assert (plain["predict"].weight is plain["look_up"].weight) == tied


def test_an_adapter_of_another_base_is_not_merged(
    base: Make, trained: nn.Module, tmp_path: Path
) -> None:
    autolora.save(trained, tmp_path / "a")
    other = base()
    with torch.no_grad():
        other.get_parameter("features.0.weight").add_(1)
    with pytest.raises(OtherBase):
        write_merged(other, tmp_path / "a", tmp_path / "merged.safetensors")
    assert not (tmp_path / "merged.safetensors").exists()


def test_a_head_alone_merges(base: Make, x: Tensor, tmp_path: Path) -> None:
    trained = base()
    autolora.attach(trained, {}).also_train("head")
    nn.init.normal_(trained.get_parameter("head.weight"))
    autolora.save(trained, tmp_path / "a")
    write_merged(base(), tmp_path / "a", tmp_path / "merged.safetensors")
    plain = base()
    plain.load_state_dict(load_file(tmp_path / "merged.safetensors"))
    assert torch.equal(plain(x), trained(x))


def test_an_adapter_read_from_peft_can_be_saved_again(
    base: Make, trained: nn.Module, x: Tensor, tmp_path: Path
) -> None:
    quietly(trained, tmp_path / "a", "peft")
    autolora.save(read(tmp_path / "a", base()), tmp_path / "b")
    model = base()
    autolora.load(model, tmp_path / "b")
    torch.testing.assert_close(model(x), trained(x), atol=1e-6, rtol=1e-6)
