"""What a search space would search: groups, ranks, parameters, and spaces that do not fit."""

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import timm
import torch
from torch import nn
from torchvision import models
from transformers import (
    DeiTConfig,
    DeiTForImageClassification,
    Dinov2Config,
    Dinov2ForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)

from autolora.errors import BudgetTooSmall, NoSuchFile, NoSuchModule, SpaceDoesNotFit
from autolora.lora.allocation import Allocation
from autolora.lora.attach import attach
from autolora.lora.targets import targets
from autolora.study.overview import Asked, Limit, fitting, looked_at

Place = Any  # of conftest.py
TINY: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}
NOTHING = Asked()
VITS: dict[str, Callable[[], nn.Module]] = {
    "torchvision": partial(models.vit_b_16, weights=None),
    "swin": partial(models.swin_t, weights=None),
    "timm": partial(timm.create_model, "vit_tiny_patch16_224"),
    "vit": lambda: ViTForImageClassification(ViTConfig(**TINY)),
    "deit": lambda: DeiTForImageClassification(DeiTConfig(**TINY)),
    "dino": lambda: Dinov2ForImageClassification(Dinov2Config(**TINY)),
}


def told(place: Place, *words: str) -> Any:
    ran = place("space", *words, "--json")
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_parameters_are_those_of_an_attached_adapter(place: Place, weights_file: object) -> None:
    seen = told(place, "mobilenet_v2", "--preset", "cnn", "--head", "classifier.1")
    model = models.mobilenet_v2(weights=None)
    names = [name for group in seen["groups"] for name in group["targets"]]
    ranks = {n: max(g["ranks"]) for g in seen["groups"] for n in g["targets"]}
    attached = attach(model, Allocation(ranks))
    assert seen["largest_parameters"] == sum(p.numel() for p in attached.parameters())
    uniform = attach(models.mobilenet_v2(weights=None), Allocation(dict.fromkeys(names, 2)))
    assert seen["uniform_parameters"]["2"] == sum(p.numel() for p in uniform.parameters())
    assert seen["head_parameters"] == 1280 * 10 + 10
    assert seen["left_out"] == []
    assert seen["numbers"] == len(seen["groups"]) + 1


@pytest.mark.parametrize(
    ("asked", "parameters", "rank"),
    [
        (Asked(uniform_rank=2), 37_174, 2),
        (Asked(parameters=40_000), 40_000, 2),
        (Asked(parameters=100), 100, 0),
    ],
)
def test_a_budget(asked: Asked, parameters: int, rank: int) -> None:
    with torch.device("meta"):
        model = models.mobilenet_v2(weights=None)
    assert looked_at(model, "net", "cnn-dense", asked=asked).limit == Limit(parameters, rank)


def test_the_table_says_what_no_group_takes(place: Place, weights_file: object) -> None:
    ran = place("space", "mobilenet_v2", "--preset", "cnn-dense", "--budget-rank", "2")
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"pointwise\.1 +\d+ +0 1 2 4 8 +", ran.stdout)
    assert re.search(r"taken by no group .*classifier\.1\.weight", ran.stdout)
    assert "0.0030 to 0.0200" in ran.stdout
    assert re.search(r"budget +37,174", ran.stdout)


def test_without_a_preset_it_lists_those_that_fit() -> None:
    with torch.device("meta"):
        rows = {row["preset"]: row for row in fitting(models.mobilenet_v2(weights=None))}
    assert rows["cnn"]["numbers"] == 8
    assert rows["vit"]["numbers"] is None
    assert all(row["about"] for row in fitting(None))


@pytest.mark.parametrize("name", VITS)
def test_vit(name: str) -> None:
    """Each block's matrices are taken, by kind and stage; embeddings and head are not."""
    with torch.device("meta"):
        model = VITS[name]()
    seen = looked_at(model, name, "vit", asked=NOTHING)
    groups = {group.name: group.targets for group in seen.groups}
    assert set(groups) == {
        *(f"{kind}.{stage}" for kind in ("attention", "mlp") for stage in (1, 2, 3)),
        "output.1",
        "output.2",
        "patches",
    }
    blocks = [t.name for t in targets(model) if re.search(r"\.\d+\.|_\d+\.", t.name)]
    left = [n for n in seen.left_out if n in blocks and not re.search("table|reduction", n)]
    assert not left
    assert all(re.search(r"_table|embed|token|reduction|head|classifier", n) for n in seen.left_out)
    early = [n for n in groups["attention.1"] if re.search(r"(layers?|blocks|_layer)[._]0\.", n)]
    late = [n for n in groups["attention.3"] if re.search(r"(layers?|blocks|_layer)[._]0\.", n)]
    assert name == "swin" or (len(early), len(late)) == (3, 0)


@pytest.mark.parametrize(
    ("preset", "changes", "error", "sentence"),
    [
        ("vit", {}, SpaceDoesNotFit, '"vit" does not fit net; see which ones do with: autolora'),
        ("vitt", {}, NoSuchFile, "there is no file vitt; by name there are vit"),
        ("cnn", {"head": ["clasifier.1"]}, NoSuchModule, "nearest: classifier.1"),
        ("uniform", {"asked": Asked(parameters=3)}, BudgetTooSmall, "the smallest has"),
    ],
)
def test_what_cannot_be(
    preset: str, changes: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    with torch.device("meta"):
        model = models.mobilenet_v2(weights=None)
    with pytest.raises(error, match=re.escape(sentence)):
        looked_at(model, "net", preset, **{"asked": NOTHING, **changes})


def test_two_budgets_are_refused(place: Place) -> None:
    words = ["--preset", "cnn", "--budget-rank", "2", "--parameters", "9"]
    ran = place("space", "mobilenet_v2", *words)
    assert ran.returncode == 2
    assert "one of the two" in ran.stderr
