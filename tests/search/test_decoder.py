"""The base of Tier 0: causal, trained to near the bound, and the same bits each time."""

from pathlib import Path

import pytest
import torch
from torch import nn

from autolora.artifacts.files import write_bytes
from benchmarks.search.decoder import (
    Decoder,
    Recipe,
    Shape,
    base,
    pretrained,
    weights,
    weights_digest,
)
from benchmarks.search.language import LENGTH, VOCABULARY, best_losses, sequences

BRIEF = Recipe(steps=3)


def test_no_score_depends_on_a_later_token() -> None:
    torch.manual_seed(0)
    model = Decoder(Shape())
    tokens = torch.randint(VOCABULARY, (2, LENGTH))
    changed = tokens.clone()
    changed[:, 10] = (tokens[:, 10] + 1) % VOCABULARY
    before, after = model(tokens), model(changed)
    assert torch.equal(before[:, :10], after[:, :10])
    assert not torch.equal(before[:, 10:], after[:, 10:])


def test_it_has_24_linear_layers_in_its_blocks_and_ties_nothing() -> None:
    model = Decoder(Shape())
    assert sum(isinstance(layer, nn.Linear) for layer in model.blocks.modules()) == 24
    named = dict(model.named_parameters(remove_duplicate=False))
    assert len(named) == len(set(map(id, named.values())))


def test_a_recipe_gives_the_same_bits_each_time() -> None:
    first, again = pretrained(BRIEF), pretrained(BRIEF)
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_it_can_be_trained_in_the_midst_of_an_evaluation() -> None:
    with torch.inference_mode():
        inside = pretrained(BRIEF)
    assert all(torch.equal(value, inside[name]) for name, value in pretrained(BRIEF).items())


def test_a_recipe_with_another_number_is_another_recipe() -> None:
    assert BRIEF.digest == Recipe(steps=3).digest
    others = [Recipe(steps=4), Recipe(steps=3, seed=1), Recipe(steps=3, shape=Shape(heads=2))]
    assert len({BRIEF.digest, *(other.digest for other in others)}) == 4


def test_weights_come_from_the_cache_and_a_broken_file_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOLORA_CACHE", str(tmp_path))
    made = weights.__wrapped__(BRIEF)
    (file,) = tmp_path.rglob("*.safetensors")
    whole = file.read_bytes()
    write_bytes(file, whole[:1000])
    again = weights.__wrapped__(BRIEF)
    assert file.read_bytes() == whole
    assert all(torch.equal(made[name], again[name]) for name in made)
    assert weights_digest(BRIEF) != weights_digest(Recipe(steps=4))
    weights.cache_clear()


def test_each_base_is_a_fresh_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOLORA_CACHE", str(tmp_path))
    first = base(BRIEF)
    with torch.no_grad():
        first.scores.weight.zero_()
    assert base(BRIEF).scores.weight.any()
    weights.cache_clear()


def test_the_base_knows_its_language() -> None:
    spoken = Recipe().speaks()
    tokens = sequences(spoken, 2_000, seed=99)
    given = torch.from_numpy(tokens)
    with torch.no_grad():
        scores = base().eval()(given)[:, :-1]
    loss = nn.functional.cross_entropy(scores.flatten(0, 1), given[:, 1:].flatten())
    assert 0 < loss.item() - best_losses(spoken, tokens).mean() < 0.08  # measured: 0.04
