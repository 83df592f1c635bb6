"""PEFT itself reads what we write in its format, layer by layer."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft_adapters import EXAMPLES, READS_WEIGHT, in_peft, paths, read_twice, saved, whole
from torch import Tensor, nn

import autolora
from autolora.lora.example import Example
from autolora.testing.stage import (
    MODES,
    Mode,
    Stage,
    adapted,
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


WHOLE = {name: e for name, e in EXAMPLES.items() if whole(e)}
PARTLY = {name: e for name, e in EXAMPLES.items() if name not in WHOLE}


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
