"""Several matrices in one parameter: known by name, declared, stacked, or taken as a whole."""

import copy

import pytest
import torch
from torch import Tensor, nn

from autolora.errors import Unsplittable
from autolora.lora.attach import attach, detach
from autolora.lora.packed import split
from autolora.lora.targets import every_target, targets
from autolora.testing.stage import add_dense, randomise


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(6, 18)
        self.kv = nn.Linear(6, 12)
        self.gate_up_proj = nn.Linear(6, 10)
        self.query_key_value = nn.Linear(6, 18)  # each head's parts side by side: no blocks of rows
        self.c_attn = nn.Linear(6, 7)  # by its name, but not by its size

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([layer(x) for layer in self.children()], -1)


def names(model: nn.Module) -> list[str]:
    return [target.name for target in targets(model)]


def test_known_names() -> None:
    assert names(Block()) == [
        "qkv.weight[query]",
        "qkv.weight[key]",
        "qkv.weight[value]",
        "kv.weight[key]",
        "kv.weight[value]",
        "gate_up_proj.weight[gate]",
        "gate_up_proj.weight[up]",
        "query_key_value.weight",
        "c_attn.weight",
    ]


def test_declared_blocks_travel_with_copies() -> None:
    model = Block()
    split(model.c_attn, {"query": 4, "key": 2, "value": 1})
    assert names(copy.deepcopy(model))[-3:] == [
        f"c_attn.weight[{block}]" for block in ("query", "key", "value")
    ]
    assert [t.rows for t in targets(model)][-3:] == [4, 2, 1]


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"a": 3, "b": 3}, "weight has 7 rows, and the blocks {'a': 3, 'b': 3} do not"),
        ({"a": 7, "b": 0}, "do not"),
        ({"a]": 7}, 'cannot have a block named "a]"'),
    ],
)
def test_blocks_that_do_not_fit(sizes: dict[str, int], words: str) -> None:
    layer = nn.Linear(6, 7)
    with pytest.raises(Unsplittable) as refusal:
        split(layer, sizes)
    assert words in str(refusal.value)
    assert names(layer) == ["weight"]


def test_a_bias_has_no_blocks() -> None:
    with pytest.raises(Unsplittable, match="bias is no matrix"):
        split(nn.Linear(2, 2), {"a": 2}, "bias")


@pytest.mark.parametrize("training", [True, False])
def test_a_whole_beside_its_blocks(training: bool) -> None:
    torch.manual_seed(0)
    model = nn.MultiheadAttention(8, 2).double().train(training)
    plain, x = copy.deepcopy(model), torch.randn(5, 2, 8, dtype=torch.float64)
    assert "in_proj_weight" in [t.name for t in every_target(model)]
    adapter = attach(model, {"in_proj_weight": 3, "in_proj_weight[key]": 2}, scale=0.5)
    add_dense(plain, randomise(adapter))
    assert torch.allclose(model(x, x, x)[0], plain(x, x, x)[0], atol=1e-12)


class Bare(nn.Module):
    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(*shape, dtype=torch.float64))

    def forward(self) -> Tensor:
        return self.table.sin()


@pytest.mark.parametrize(
    ("shape", "rows", "columns"),
    [
        ((5, 4), 5, 4),
        ((1, 7, 5), 7, 5),  # positions of an image model
        ((6, 4, 3), 6, 12),
        ((2, 3, 4), 6, 4),
        ((6, 2, 2, 2), 6, 8),
    ],
)
def test_bare_parameters(shape: tuple[int, ...], rows: int, columns: int) -> None:
    model = Bare(*shape)
    (target,) = targets(model)
    assert (target.rows, target.columns) == (rows, columns)
    plain = copy.deepcopy(model)
    add_dense(plain, randomise(attach(model, {"table": 2})))
    assert torch.allclose(model(), plain(), atol=1e-12)
    detach(model)
    assert model.table is model._parameters["table"]


def test_a_vector_is_no_matrix_however_it_lies() -> None:
    assert targets(Bare(1, 1, 8)) == ()
    assert targets(Bare(8)) == ()
