from itertools import pairwise

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from autolora.artifacts.adapter import Adapter
from autolora.lora import attach
from autolora.nested.chosen import nonzero
from autolora.nested.importance import TripletScores
from autolora.nested.pruning import Keeping
from autolora.nested.triplets import Triplets
from autolora.strategies import adalora
from autolora.training.fit import Run, train
from autolora.training.shared import Shared


@pytest.mark.parametrize("unit", ["ranks", "parameters"])
def test_it_keeps_its_word(terms, keeps_its_word, unit):
    found = keeps_its_word(adalora, terms, learning_rates=2, budget_unit=unit)
    assert found.about["first_ranks"] == dict.fromkeys(terms.costs, 3)  # of an average of 1.67
    assert found.about["peak_parameters"] == 3 * (24 + 32 + 22) + 9
    assert found.about["ranks"] == found.adapter.allocation


class Watched(Triplets):
    """Notes which triplets live after every step."""

    def __init__(self, attached, pruning):
        super().__init__(attached, pruning)
        self.lives = []

    def updated(self, step):
        super().updated(step)
        self.lives.append({n: (v != 0).tolist() for n, v in self.values.items()})


def watched(terms, seed=0, rate=0.1, **options):
    pruning = adalora.plan(adalora.OPTIONS(interval=1e-9, **options), terms)
    made = []

    def treats(attached, seed):
        made.append(Watched(attached, pruning))
        return made[-1]

    start = adalora.beginning(terms, adalora.OPTIONS(**options))
    proposal = terms.space.fixed(start, rate)
    fit = train(Run(terms.task, proposal, terms.settings, seed, treats=treats), Shared())
    return fit, made[0], pruning.cubic


def test_what_lives_follows_the_cubic(terms):
    _, triplets, cubic = watched(terms, budget_unit="ranks", warm=0.1, settle=0.25)
    assert (cubic.first, cubic.last, cubic.warm, cubic.settled) == (9, 3, 4, 30)
    counts = [sum(map(sum, live.values())) for live in triplets.lives]
    for step, count in enumerate(counts[:29], 1):
        share = min(1.0, max(0.0, (step - 4) / 26))
        assert count == int(3 + 6 * (1 - share) ** 3)
    # At the end those that fill the parameters, the same to the last step.
    assert all(live == triplets.lives[29] for live in triplets.lives[29:])
    assert counts[0] == 9
    left = sum(terms.costs[n] * sum(live) for n, live in triplets.lives[-1].items())
    assert terms.parameters - 22 < left <= terms.parameters


def test_parameters_are_followed_too(terms):
    _, triplets, cubic = watched(terms, budget_unit="parameters", settle=0.25)
    assert (cubic.first, cubic.last) == (234, 130)
    for step, live in enumerate(triplets.lives[4:], 5):
        taken = sum(terms.costs[name] * sum(each) for name, each in live.items())
        # Less is left over than one more triplet of the dearest target would cost.
        assert cubic.at(step) - 32 < taken <= cubic.at(step)


def test_the_allocation_changes_while_it_trains(terms):
    """Not fixed at the first pruning: triplets leave, and some come back."""
    left, back = 0, 0
    for seed in range(3):
        _, triplets, cubic = watched(terms, seed, settle=0.1)
        pruned = triplets.lives[cubic.warm : cubic.settled]
        flat = [[alive for each in live.values() for alive in each] for live in pruned]
        for before, after in pairwise(flat):
            left += sum(b and not a for b, a in zip(before, after, strict=True))
            back += sum(a and not b for b, a in zip(before, after, strict=True))
        shares = {tuple(sum(each) for each in live.values()) for live in triplets.lives}
        assert len(shares) > 3
    assert left > 6 * 3 - 1  # more than the nine that have to go
    assert back > 0


def test_the_adapter_answers_as_the_masked_model(terms):
    torch.manual_seed(0)
    model = terms.task.model()
    options = adalora.OPTIONS()
    attached = attach(model, adalora.beginning(terms, options), scale=2.0)
    triplets = Triplets(attached, adalora.plan(options, terms))
    batch = next(terms.task.batches("train", batch_size=32))
    with torch.no_grad():
        for values in triplets.values.values():
            values.normal_()
    with triplets.training(0):
        terms.task.loss(model, batch).backward()
        unmasked = model(batch.inputs).detach()
    triplets.updated(0)
    with triplets.evaluating(), torch.no_grad():
        masked = model(batch.inputs)
    assert not torch.allclose(masked, unmasked, atol=1e-3)
    triplets.finish()
    adapter = nonzero(Adapter.capture(model))
    assert adapter.parameters <= terms.parameters
    fresh = terms.task.model()
    adapter.attach_to(fresh)
    assert torch.allclose(fresh(batch.inputs), masked, atol=1e-5)


class Judged(Triplets):
    """Scores that the test gives."""

    given: dict[str, torch.Tensor]

    def scores(self):
        return self.given


def test_the_best_evaluation_keeps_its_own_triplets(terms):
    """Between two evaluations others may have become the most important."""
    options = adalora.OPTIONS()
    attached = attach(terms.task.model(), adalora.beginning(terms, options))
    triplets = Judged(attached, adalora.plan(options, terms))
    states, lives = [], []
    for scores in (torch.tensor([3.0, 2.0, 1.0]), torch.tensor([1.0, 2.0, 3.0])):
        triplets.given = dict.fromkeys(terms.costs, scores)
        states.append([nn.init.normal_(values).clone() for values in triplets.values.values()])
        with triplets.evaluating():
            lives.append(triplets.live())
    with torch.no_grad():  # what a run does when its first evaluation was the best
        for values, best in zip(triplets.values.values(), states[0], strict=True):
            values.copy_(best)
    triplets.finish()
    for name, part in attached.factors.items():
        assert not torch.equal(lives[0][name], lives[1][name])
        assert torch.equal(part.up.any(0), lives[0][name])


def test_once_the_budget_is_reached_nothing_moves(terms):
    options = adalora.OPTIONS()
    attached = attach(terms.task.model(), adalora.beginning(terms, options))
    pruning = adalora.plan(options, terms)
    triplets = Judged(attached, pruning)
    lives = []
    for favoured, step in ((0, 5), (1, pruning.cubic.settled - 1), (2, terms.settings.steps - 1)):
        scores = torch.zeros(3)
        scores[favoured] = 1.0
        triplets.given = dict.fromkeys(terms.costs, scores)
        with torch.no_grad():
            for values in triplets.values.values():
                values.fill_(1.0)
        triplets.updated(step)
        lives.append([(values != 0).tolist() for values in triplets.values.values()])
    assert lives[0] != lives[1] == lives[2]


def test_importance_is_that_of_the_paper():
    torch.manual_seed(0)
    tensors = [torch.randn(4, 2), torch.randn(2), torch.randn(2, 5)]
    scores = TripletScores()
    smooth, unsure = [0.0] * 3, [0.0] * 3
    for _ in range(5):
        for i, tensor in enumerate(tensors):
            tensor.grad = torch.randn_like(tensor)
            sensitivity = (tensor * tensor.grad).abs()
            smooth[i] = 0.85 * smooth[i] + 0.15 * sensitivity
            unsure[i] = 0.85 * unsure[i] + 0.15 * (sensitivity - smooth[i]).abs()
        scores.update(*tensors)
    left, values, right = (a * b for a, b in zip(smooth, unsure, strict=True))
    assert torch.allclose(scores.scores(), values + left.mean(0) + right.mean(1))


def test_the_penalty_measures_how_far_factors_are_from_orthonormal(terms):
    def penalty(**options):
        options = adalora.OPTIONS(**options)
        attached = attach(terms.task.model(), adalora.beginning(terms, options))
        return attached, Triplets(attached, adalora.plan(options, terms)).penalty()

    attached, orthogonal = penalty()
    assert orthogonal.item() == pytest.approx(0.0, abs=1e-6)
    attached, normal = penalty(start="normal", penalty=0.2)
    apart = 0.0
    for part in attached.factors.values():
        for gram in (part.up.T @ part.up, part.down @ part.down.T):
            apart += (gram - torch.eye(3)).norm() / 6
    assert normal.item() == pytest.approx(0.2 * apart.item(), rel=1e-5)
    assert penalty(penalty=0.0)[1] is None


def test_the_penalty_keeps_factors_orthonormal_in_training(terms):
    def spread(penalty):
        _, triplets, _ = watched(terms, penalty=penalty, settle=0.1)
        right = triplets._right["2.weight"].detach()
        return (right @ right.T - torch.eye(3)).norm().item()

    assert spread(1.0) < 0.5 * spread(0.0)


def test_ranks_are_cut_until_parameters_hold_then_topped_up():
    scores = {"wide": torch.tensor([9.0, 8.0, 7.0]), "thin": torch.tensor([6.0, 5.0, 4.0])}
    costs = {"wide": 10, "thin": 3}
    live = Keeping("ranks", costs, ranks=3, parameters=26).finally_(scores)
    assert {n: m.tolist() for n, m in live.items()} == {
        "wide": [True, True, False],
        "thin": [True, True, False],
    }


def test_warm_and_settle_share_one_run():
    with pytest.raises(ValidationError, match="together at most 1"):
        adalora.OPTIONS(warm=0.6, settle=0.5)
