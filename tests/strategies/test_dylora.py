from collections import Counter

import pytest
import torch

from autolora.lora import attach
from autolora.lora.scale import AlphaOverRank, Constant
from autolora.nested.adapters import cut
from autolora.nested.global_prefix import GlobalPrefix, Prefixed
from autolora.spending import Work
from autolora.spending.measured import remeasured
from autolora.strategies import dylora


@pytest.mark.parametrize("gradient", ["prefix", "last"])
def test_it_keeps_its_word(terms, keeps_its_word, gradient):
    found = keeps_its_word(dylora, terms, learning_rates=2, gradient=gradient)
    assert found.about["ranks"] == {"0.weight": 2, "2.weight": 1, "4.weight": 2}
    assert found.about["highest_rank"] == 4
    assert found.about["prefix"] == 1


def test_a_scale_that_follows_the_rank_follows_the_prefix(terms_of, keeps_its_word):
    terms = terms_of(scale=("alpha_over_rank", 4.0))
    found = keeps_its_word(dylora, terms, learning_rates=2)
    # Trained at α / 4, and handed over with what α / rank adds folded into `down`.
    assert set(found.adapter.scales.values()) == {1.0}


@pytest.fixture
def attached(terms):
    torch.manual_seed(0)
    attached = attach(terms.task.model(), dict.fromkeys(terms.costs, 4))
    for part in attached.factors.values():
        torch.nn.init.normal_(part.up)
    return attached


def gradients(treatment, terms, step):
    batch = next(terms.task.batches("train", batch_size=32))
    treatment.attached.model.zero_grad()
    with treatment.training(step):
        terms.task.loss(treatment.attached.model, batch).backward()
    return {
        n: (p.up.grad.any(0), p.down.grad.any(1)) for n, p in treatment.attached.factors.items()
    }


@pytest.mark.parametrize("gradient", ["prefix", "last"])
def test_a_step_trains_its_prefix_alone(terms, attached, gradient):
    treatment = GlobalPrefix(attached, 0, Prefixed(Constant(), {}, gradient))
    for step in range(12):
        drawn = treatment.drawn(step)
        first = drawn - 1 if gradient == "last" else 0
        expected = [first <= rank < drawn for rank in range(4)]
        for up, down in gradients(treatment, terms, step).values():
            assert up.tolist() == down.tolist() == expected


def test_prefixes_are_drawn_evenly_and_by_the_seed(attached):
    treatment = GlobalPrefix(attached, 0, Prefixed(Constant(), {}, "prefix"))
    counts = Counter(treatment.drawn(step) for step in range(2000))
    assert sorted(counts) == [1, 2, 3, 4]
    assert min(counts.values()) > 400
    other = GlobalPrefix(attached, 1, Prefixed(Constant(), {}, "prefix"))
    assert [treatment.drawn(s) for s in range(20)] != [other.drawn(s) for s in range(20)]


def test_a_step_shows_the_prefix_at_its_own_scale(terms, attached):
    rule = AlphaOverRank(8.0)
    for part in attached.factors.values():
        part.scale = rule(4)
    treatment = GlobalPrefix(attached, 0, Prefixed(rule, {}, "prefix"))
    step = next(s for s in range(50) if treatment.drawn(s) == 2)
    up, down = attached.factors["2.weight"].up, attached.factors["2.weight"].down
    with treatment.training(step):
        delta = attached.factors["2.weight"].dense()
    assert torch.allclose(delta, 4.0 * up[:, :2] @ down[:2], atol=1e-5)


def test_prefixes_of_one_run_are_better_than_those_of_a_plain_run(terms):
    """What DyLoRA is for: a plain run spreads what it learns over all ranks."""
    start = dylora.high(dylora.OPTIONS(), terms)
    kept = dylora.prefix(terms)
    ours, plain = [], []
    for seed in range(4):
        work = Work(terms, seed=seed)
        found = dylora.search(dylora.OPTIONS(learning_rates=1), work)
        ours.append(found.loss)
        whole = work.fit("plain", start, found.learning_rate)
        plain.append(remeasured(work, "cut", whole, cut(whole.adapter, kept)).loss)
    assert all(a < b for a, b in zip(ours, plain, strict=True))
    assert sum(ours) < 0.6 * sum(plain)
