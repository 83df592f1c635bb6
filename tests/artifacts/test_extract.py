"""Extraction: at full rank the adapter is the fine-tune; below, it is the best there is."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import autolora
from autolora.artifacts.fingerprint import base_parameters
from autolora.errors import (
    CarriesAdapter,
    CheckpointFile,
    NoSuchTarget,
    NotAFineTune,
    NotFinite,
    NotOneSize,
)
from autolora.lora import layout, views
from autolora.lora.example import Example
from autolora.testing.stage import close, differ, stage

# What torch says of some layers, adapted or not.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The PyTorch API of nested tensors",
    "ignore:enable_nested_tensor is True",
    "ignore:Using padding='same' with even kernel",
)

EXAMPLES = {e.name: e for view in views.all_views() for e in view.EXAMPLES}
Make = Callable[[], nn.Module]


@torch.no_grad()
def shifted(model: nn.Module, seed: int = 3) -> nn.Module:
    """Every parameter moved, as a full fine-tune would."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        moved = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.add_(moved.to(parameter))
    return model


def deltas(base: nn.Module, finetuned: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for target in autolora.targets(base):
        before, after = (
            layout.matrix(
                m.get_submodule(target.layer).get_parameter(target.parameter), target.layout
            )
            for m in (base, finetuned)
        )
        rows = slice(target.first_row, target.first_row + target.rows)
        yield target.name, (after - before)[rows].detach()


@pytest.fixture(params=EXAMPLES.values(), ids=EXAMPLES)
def example(request: pytest.FixtureRequest) -> Example:
    return request.param


def test_at_full_rank_it_is_the_fine_tune(example: Example) -> None:
    base, tuned = stage(example, "eval"), stage(example, "eval")
    shifted(tuned.model)
    untouched = {n: p.clone() for n, p in base.model.named_parameters()}
    found = autolora.extract(base.model, tuned.model, energy=1.0)
    assert all(torch.equal(p, untouched[n]) for n, p in base.model.named_parameters())
    assert (found.error, found.left_out) == (0.0, ())
    covered = {f"{t.layer}.{t.parameter}".lstrip(".") for t in autolora.targets(base.model)}
    assert set(found.adapter.full) == set(base_parameters(base.model)) - covered
    assert differ(base.answer(), tuned.answer())
    found.adapter.attach_to(base.model)
    close(base.answer(), tuned.answer())


@pytest.mark.parametrize("how", ["rank", "parameters", "energy"])
def test_below_it_is_the_best_there_is(example: Example, how: str) -> None:
    base, tuned = stage(example, "eval"), stage(example, "eval")
    shifted(tuned.model)
    most = max(t.cost for t in autolora.targets(base.model))
    wanted = {"rank": 2, "parameters": 2 * most, "energy": 0.7}[how]
    found = autolora.extract(base.model, tuned.model, **{how: wanted})
    lost = total = 0.0
    for name, delta in deltas(base.model, tuned.model):
        rank = found.adapter.allocation.get(name, 0)
        left, values, right = torch.linalg.svd(delta, full_matrices=False)
        up, down = found.adapter.factors.get(name, (left[:, :0], right[:0]))
        best = left[:, :rank] * values[:rank] @ right[:rank]
        torch.testing.assert_close(up @ down, best, atol=1e-9, rtol=1e-9)
        off = float((delta - up @ down).norm())
        assert found.errors[name] == pytest.approx(off / float(delta.norm()), abs=1e-9)
        lost, total = lost + off**2, total + float(delta.norm()) ** 2
    assert found.error == pytest.approx(math.sqrt(lost / total), abs=1e-9)
    assert how != "parameters" or found.adapter.parameters <= wanted


def test_only_what_changed_is_adapted(base: Make) -> None:
    tuned = base().double()
    with torch.no_grad():
        tuned.get_parameter("memory.weight_hh_l0")[5:10] += 0.1  # the gate "forget" of the LSTM
        tuned.get_parameter("head.bias")[0] += 1
    found = autolora.extract(base().double(), tuned, rank=4)
    assert found.adapter.allocation == {"memory.weight_hh_l0[forget]": 1}
    assert set(found.adapter.full) == {"head.bias"}
    assert autolora.extract(base(), base(), rank=4).adapter.allocation == {}


def test_what_is_left_out_is_told(base: Make) -> None:
    tuned = shifted(base())
    tuned.get_buffer("features.1.running_mean").add_(1)
    found = autolora.extract(base(), tuned, rank=1, select=["features.*"], full=False)
    assert set(found.adapter.allocation) == {"features.0.weight", "features.2.weight"}
    assert not found.adapter.full
    gates = [
        f"memory.weight_{m}_l0[{g}]"
        for m in ("ih", "hh")
        for g in ("input", "forget", "cell", "output")
    ]
    assert set(found.left_out) == {
        *gates,
        "head.weight",
        *(n for n, p in tuned.named_parameters() if p.ndim == 1),
        "features.1.running_mean",
    }
    whole = autolora.extract(base(), tuned, rank=1)
    assert whole.left_out == ("features.1.running_mean",)
    with pytest.raises(NoSuchTarget, match="featurs"):
        autolora.extract(base(), tuned, rank=1, select=["featurs.*"])


def test_a_head_that_every_build_draws_anew_is_kept_in_full(base: Make, x: Tensor) -> None:
    tuned, other = shifted(base()), base()
    nn.init.normal_(other.get_parameter("head.weight"))
    found = autolora.extract(base(), tuned, energy=1.0, heads=["head"], full=False)
    assert set(found.adapter.full) == {"head.weight", "head.bias"}
    assert "head.weight" not in found.errors
    assert "features.0.bias" in found.left_out
    assert "head.bias" not in found.left_out
    found = autolora.extract(base(), tuned, energy=1.0, heads=["head"])
    found.adapter.attach_to(other)  # of another head, yet the same base
    torch.testing.assert_close(other(x), tuned(x), atol=1e-5, rtol=1e-5)
    with pytest.raises(NoSuchTarget, match='"heed"; nearest: head'):
        autolora.extract(base(), tuned, rank=1, heads=["heed"])


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.look_up = nn.Embedding(11, 6)
        self.predict = nn.Linear(6, 11, bias=False)
        self.predict.weight = self.look_up.weight

    def forward(self, tokens: Tensor) -> Tensor:
        scores: Tensor = self.predict(self.look_up(tokens))
        return scores


def test_a_tied_weight_is_extracted_once() -> None:
    torch.manual_seed(0)
    base, tokens = Tied().double(), torch.arange(11)
    tuned = Tied().double()
    tuned.load_state_dict(base.state_dict())
    shifted(tuned)
    once = {"predict.weight": tuned.predict.weight.detach()}  # as safetensors files of others
    for source in (tuned, tuned.state_dict(), once):
        found = autolora.extract(base, source, rank=6)
        assert found.adapter.allocation == {"look_up.weight": 6}
        found.adapter.attach_to(base)
        torch.testing.assert_close(base(tokens), tuned(tokens), atol=1e-9, rtol=1e-9)
        autolora.detach(base)
    untied = {**tuned.state_dict(), "predict.weight": torch.zeros(11, 6, dtype=torch.float64)}
    with pytest.raises(NotAFineTune, match=r"look_up\.weight and predict\.weight are tied"):
        autolora.extract(base, untied, rank=6)


def _safetensors(state: dict[str, Tensor], file: Path) -> None:
    save_file({n: v.contiguous() for n, v in state.items()}, file)


FILES: Mapping[str, Callable[[dict[str, Tensor], Path], Any]] = {
    "safetensors": _safetensors,
    "state_dict": torch.save,
    "older": lambda state, file: torch.save(state, file, _use_new_zipfile_serialization=False),
    "beside": lambda state, file: torch.save({"epoch": 3, "model": {**state}}, file),
    "lightning": lambda state, file: torch.save({"state_dict": state, "step": 1}, file),
}


@pytest.mark.parametrize("kind", FILES)
def test_checkpoint_files(kind: str, base: Make, x: Tensor, tmp_path: Path) -> None:
    tuned = shifted(base())
    FILES[kind](dict(tuned.state_dict()), tmp_path / "tuned")
    found = autolora.extract(base(), tmp_path / "tuned", energy=1.0)
    model = base()
    found.adapter.attach_to(model)
    torch.testing.assert_close(model(x), tuned(x), atol=1e-5, rtol=1e-5)


def test_the_adapter_is_saved_and_found_to_fit_the_base(base: Make, tmp_path: Path) -> None:
    tuned = shifted(base())
    autolora.save(autolora.extract(base(), tuned, rank=3).adapter, tmp_path / "a")
    assert autolora.load(base(), tmp_path / "a").allocation["memory.weight_ih_l0[cell]"] == 3
    with pytest.raises(autolora.errors.OtherBase):
        autolora.load(tuned, tmp_path / "a")


def test_half_precision_is_subtracted_in_float64() -> None:
    torch.manual_seed(0)
    base = nn.Sequential(nn.Linear(16, 16, bias=False)).bfloat16()
    tuned = nn.Sequential(nn.Linear(16, 16, bias=False))
    with torch.no_grad():
        tuned[0].weight.copy_(base[0].weight.float() + 1e-4 * torch.randn(16, 16))
    found = autolora.extract(base, tuned, rank=16).adapter
    up, down = found.factors["0.weight"]
    assert up.dtype == torch.float32
    torch.testing.assert_close(up @ down, tuned[0].weight - base[0].weight.float())


def test_other_models_are_refused(base: Make, tmp_path: Path) -> None:
    state = dict(shifted(base()).state_dict())

    def said(changed: Mapping[str, Tensor]) -> str:
        with pytest.raises(NotAFineTune) as caught:
            autolora.extract(base(), changed, rank=1)
        return str(caught.value)

    assert "head.weight is (4, 5) in the base and (4, 6) in them" in said(
        {**state, "head.weight": torch.zeros(4, 6)}
    )
    assert "they lack head.bias" in said({n: v for n, v in state.items() if n != "head.bias"})
    assert "they hold extra.weight, which the base has not" in said(
        {**state, "extra.weight": torch.zeros(1)}
    )
    assert "head.bias is torch.int64" in said({**state, "head.bias": torch.zeros(4).long()})
    counted = {**state, "head.positions": torch.arange(3)}
    assert autolora.extract(base(), counted, rank=1).adapter.allocation
    for name in ("head.weight", "head.bias"):
        broken = {**state, name: torch.full_like(state[name], math.nan)}
        with pytest.raises(NotFinite, match=f"^{re.escape(name)}"):
            autolora.extract(base(), broken, rank=1)
    with pytest.raises(NotOneSize):
        autolora.extract(base(), state)


def test_models_with_adapters_are_refused(base: Make, trained: nn.Module) -> None:
    with pytest.raises(CarriesAdapter, match="the fine-tuned model carries"):
        autolora.extract(base(), trained, rank=1)
    with pytest.raises(CarriesAdapter, match="the base model carries"):
        autolora.extract(trained, base(), rank=1)


def test_files_that_are_no_checkpoint(base: Make, tmp_path: Path) -> None:
    file = tmp_path / "file"

    def said(content: bytes | None) -> str:
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(CheckpointFile) as caught:
            autolora.extract(base(), file, rank=1)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "No such file" in said(None)
    assert "nothing that is a whole safetensors file" in said(b"")
    assert "nothing that is a whole safetensors file" in said(b"hello")
    torch.save(dict(base().state_dict()), file)
    assert "nothing that torch.save wrote" in said(file.read_bytes()[:-300])
    torch.save([1, 2], file)
    assert "no mapping from names to tensors" in said(None)
    torch.save(base(), file)  # a whole model: reading it would run code
    assert "nothing that torch.save wrote" in said(None)
    with pytest.raises(CheckpointFile, match="directory"):
        autolora.extract(base(), tmp_path, rank=1)
