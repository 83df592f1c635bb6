import math

import pytest
import torch
from torch import nn

from autolora.lora import attach
from autolora.nested.full_gradients import full_gradients
from autolora.nested.started import starting_from
from autolora.spending import Work
from autolora.strategies import gora


@pytest.mark.parametrize("start", ["gradient", "zero"])
def test_it_keeps_its_word(terms, keeps_its_word, start):
    found = keeps_its_word(gora, terms, learning_rates=2, start=start)
    assert found.ledger[0].example_passes == 2 * terms.task.examples("train")  # one pass at most
    assert found.adapter.allocation == found.about["ranks"]
    assert found.about["scores"].keys() == terms.costs.keys()


def test_fewer_batches_cost_less(terms):
    stages = gora.account(gora.OPTIONS(batches=3), terms)
    assert stages[0].example_passes == 2 * 3 * 32
    found = gora.search(gora.OPTIONS(batches=3, learning_rates=1), Work(terms, seed=0))
    assert found.ledger[0].example_passes == 2 * 3 * 32


def test_gradients_are_those_of_whole_weights(terms):
    taken = full_gradients(Work(terms, seed=0), terms.space.targets, 100)
    points, answers = terms.task.data("train")
    model = terms.task.model()
    # Batches count alike: of 200 examples the last 8 weigh as much as 32 others do.
    assert taken.example_passes == 400
    loss = (model(points) - answers).square().mean()
    loss.backward()
    for name, gradient in taken.gradients.items():
        whole = model.get_parameter(name).grad
        assert torch.nn.functional.cosine_similarity(whole.ravel(), gradient.ravel(), 0) > 0.95
        assert torch.equal(taken.weights[name], model.get_parameter(name))


class Attends(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.out = nn.Linear(8, 6)

    def forward(self, x):
        x = x.view(-1, 4, 2).repeat(1, 1, 4)
        return self.out(self.attention(x, x, x, need_weights=False)[0].mean(1))


def test_gradients_of_blocks_are_their_rows(taught, terms_of):
    terms = terms_of(taught(Attends, "out.weight"))
    taken = full_gradients(Work(terms, seed=0), terms.space.targets, 1)
    names = [f"attention.in_proj_weight[{block}]" for block in ("query", "key", "value")]
    weight = terms.task.model().attention.in_proj_weight
    assert torch.equal(torch.cat([taken.weights[name] for name in names]), weight)
    assert all(taken.gradients[name].shape == (8, 8) for name in names)
    assert all(gradient.any() for gradient in taken.gradients.values())


def test_importance_is_the_mean_of_weight_times_gradient():
    weights = {"a": torch.tensor([[1.0, -2.0]]), "b": torch.tensor([[3.0], [0.0]])}
    gradients = {"a": torch.tensor([[-4.0, 1.0]]), "b": torch.tensor([[0.5], [7.0]])}
    assert gora.importance(weights, gradients) == {"a": 3.0, "b": 0.75}


def test_up_is_the_gradient_as_far_as_down_holds_it():
    torch.manual_seed(0)
    gradient, down = torch.randn(5, 12), torch.randn(3, 12)
    up = gora.compressed(gradient, down, step=0.1, scale=2.0)
    projector = down.T @ torch.linalg.inv(down @ down.T) @ down
    expected = -0.1 * math.sqrt(12 / 3) * gradient @ projector
    assert torch.allclose(2.0 * up @ down, expected, atol=1e-6)


def test_the_start_goes_down_the_loss(terms):
    """One step down the gradient: lower than the base, as another direction would not be."""
    slopes = gora._Slopes(Work(terms, seed=0), gora.OPTIONS(step=0.05))
    points, answers = terms.task.data("train")

    def loss(sign):
        model = terms.task.model()
        attached = attach(model, dict.fromkeys(terms.costs, 2))
        starting_from(slopes.starts)(attached, 0)
        with torch.no_grad():
            for part in attached.factors.values():
                part.up.mul_(sign)
            return (model(points) - answers).square().mean().item()

    assert loss(1.0) < loss(0.0) < loss(-1.0)


def test_ranks_follow_the_rule(terms_of):
    """In proportion to importance / √(rows + columns), where no bound and no rounding is met."""
    terms = terms_of(parameters=150)
    options = gora.OPTIONS(lowest=0.0)
    even = {name: math.sqrt(cost) for name, cost in terms.costs.items()}
    ranks = gora.allocated(even, options, terms)
    assert ranks == {"0.weight": 2, "2.weight": 2, "4.weight": 1}
    # Equal importance: the thin matrix first, and more of it.
    ranks = gora.allocated(dict.fromkeys(even, 1.0), options, terms_of(parameters=104))
    assert ranks == {"0.weight": 1, "2.weight": 1, "4.weight": 2}
    ranks = gora.allocated({**even, "2.weight": 3 * even["2.weight"]}, options, terms)
    assert ranks == {"0.weight": 1, "2.weight": 3, "4.weight": 1}
    ranks = gora.allocated({**even, "0.weight": 0.0}, options, terms)
    assert ranks["0.weight"] == 0
    bounded = gora.allocated({**even, "0.weight": 0.0}, gora.OPTIONS(lowest=1.0), terms)
    assert bounded["0.weight"] == 1


def test_training_begins_where_the_gradient_leads(terms):
    losses = {}
    for start in ("gradient", "zero"):
        work = Work(terms, seed=0)
        found = gora.search(gora.OPTIONS(start=start, learning_rates=1), work)
        losses[start] = found.curve[0].train_loss
    assert losses["gradient"] < losses["zero"]
