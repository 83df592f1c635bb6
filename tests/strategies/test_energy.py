import pytest
import torch

from autolora.lora.factors import of_pair
from autolora.spending import Work
from autolora.strategies import energy


def test_it_keeps_its_word(terms, keeps_its_word):
    found = keeps_its_word(energy, terms, learning_rates=2)
    assert found.about["peak_parameters"] > 3 * terms.parameters
    assert found.loss == found.about["cut_loss"]
    assert [stage.name for stage in found.ledger] == ["high rank", "cut adapters"] * 2


def test_steps_after_the_cut_are_paid_for_and_help(terms, keeps_its_word):
    found = keeps_its_word(energy, terms, learning_rates=1, finish=0.5)
    assert found.ledger[-1].name == "finish"
    assert found.loss == found.about["finished_loss"] < 0.9 * found.about["cut_loss"]


def test_the_largest_singular_values_stay_over_all_targets(terms):
    work = Work(terms, seed=0)
    whole = work.fit("high rank", energy.high(energy.OPTIONS(), terms), 0.03).adapter
    cut = energy.thresholded(whole, terms)
    before = {n: of_pair(*whole.factors[n], whole.scales[n]).values for n in whole.factors}
    ranks = {name: cut.allocation.get(name, 0) for name in before}
    threshold = min(float(before[n][r - 1]) for n, r in ranks.items() if r)
    left = terms.parameters - cut.parameters
    for name, values in before.items():
        rank = ranks[name]
        larger = [float(v) for v in values[rank:] if v > threshold]
        at_most = rank == terms.space.most_ranks[name]
        assert not larger or at_most or terms.costs[name] > left
        if rank:  # the best matrix of its rank: what is missing is what was dropped
            up, down = whole.factors[name]
            delta = whole.scales[name] * up.double() @ down.double()
            kept = cut.factors[name][0].double() @ cut.factors[name][1].double()
            lost = (delta - kept * cut.scales[name]).norm()
            assert lost.item() == pytest.approx(values[rank:].norm().item(), abs=1e-5)


def test_what_is_worth_most_is_kept_whatever_its_target(terms):
    """One target with all the energy gets the ranks; a uniform cut would not."""
    work = Work(terms, seed=0)
    whole = work.fit("high rank", energy.high(energy.OPTIONS(), terms), 0.03).adapter
    for name, (up, _) in whole.factors.items():
        up.mul_(1.0 if name == "2.weight" else 1e-3)
    assert energy.thresholded(whole, terms).allocation == {"2.weight": 4}


def test_the_rate_is_chosen_by_what_was_cut(terms):
    found = energy.search(energy.OPTIONS(), Work(terms, seed=0))
    work = Work(terms, seed=0)
    start = energy.high(energy.OPTIONS(), terms)
    losses = {rate: energy._cut(work, start, rate).loss for rate in found.about["learning_rates"]}
    assert found.learning_rate == min(losses, key=losses.get)
    assert found.loss == min(losses.values())
    assert torch.isfinite(torch.tensor(list(losses.values()))).all()
