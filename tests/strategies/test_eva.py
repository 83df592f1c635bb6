import pytest
import torch
from torch import nn

from autolora.lora import attach
from autolora.nested.observed import _vectors, observe, patches
from autolora.nested.started import starting_from
from autolora.nested.variance import of_gradient, of_inputs
from autolora.spending import Work
from autolora.strategies import eva


def test_it_keeps_its_word(terms, keeps_its_word):
    found = keeps_its_word(eva, terms, learning_rates=2)
    assert found.ledger[0].example_passes == terms.task.examples("train")  # forward alone
    assert found.about["by_gradient"] == found.about["never_called"] == []
    assert found.adapter.allocation == found.about["ranks"]
    explained = found.about["explained"]
    seen = eva._Seen(Work(terms, seed=0), eva.OPTIONS())
    assert explained == {name: each.ratios for name, each in seen.by_inputs[0].items()}
    ranks = eva.redistributed(explained, eva.OPTIONS(), terms)
    assert {name: rank for name, rank in ranks.items() if rank} == found.about["ranks"]


def test_directions_are_those_of_all_inputs(terms):
    seen = eva._Seen(Work(terms, seed=0), eva.OPTIONS())
    points, _ = terms.task.data("train")
    _, values, right = torch.linalg.svd((points - points.mean(0)).double(), full_matrices=False)
    found = seen.by_inputs[0]["0.weight"]
    energy = values.square()
    assert found.ratios == pytest.approx((energy / energy.sum()).tolist(), abs=1e-6)
    along = (found.vectors.double() @ right.T).abs()
    assert torch.allclose(along, torch.eye(8, dtype=torch.float64), atol=1e-3)


def test_runs_start_from_the_base_with_down_along_the_directions(terms):
    seen = eva._Seen(Work(terms, seed=0), eva.OPTIONS())
    model = terms.task.model()
    points, _ = terms.task.data("valid")
    before = model(points)
    attached = attach(model, {"0.weight": 2, "2.weight": 3})
    starting_from(seen.starts)(attached, 0)
    assert torch.equal(model(points), before)
    for name, part in attached.factors.items():
        expected = seen.by_inputs[0][name].vectors[: part.rank]
        assert torch.equal(part.down, expected)
        assert torch.allclose(part.down @ part.down.T, torch.eye(part.rank), atol=1e-5)
        assert not part.up.any()


def test_ranks_go_where_directions_explain_the_most(terms):
    """Sorted over all targets, up to a cap that rho sets; what is left fills the parameters."""
    ratios = {
        "0.weight": [0.2, 0.1, 0.05, 0.01],
        "2.weight": [0.4, 0.3, 0.25, 0.02],
        "4.weight": [0.15, 0.04, 0.03, 0.02],
    }
    wide = eva.redistributed(ratios, eva.OPTIONS(rho=4.0), terms)
    assert wide == {"0.weight": 1, "2.weight": 3, "4.weight": 0}
    narrow = eva.redistributed(ratios, eva.OPTIONS(rho=1.0), terms)
    assert narrow == {"0.weight": 1, "2.weight": 2, "4.weight": 1}


def test_directions_explain_most_where_inputs_vary_in_few(terms):
    torch.manual_seed(0)
    thin = torch.randn(300, 1) @ torch.randn(1, 10) + 5.0 + 0.01 * torch.randn(300, 10)
    round_ = torch.randn(300, 10)
    assert of_inputs(thin, 10).ratios[0] > 0.99  # the mean is no direction
    assert of_inputs(round_, 10).ratios[0] < 0.25
    few = of_inputs(torch.randn(4, 10), 10)
    assert len(few.ratios) == 3  # four vectors differ from their mean in three directions
    assert torch.allclose(few.vectors @ few.vectors.T, torch.eye(3), atol=1e-5)


CONVOLUTIONS = [
    (lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False), (2, 4, 7, 9)),
    (lambda: nn.Conv2d(4, 6, 3, dilation=2, padding="same", bias=False), (2, 4, 7, 9)),
    (lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect", bias=False), (2, 4, 7, 9)),
    (lambda: nn.Conv2d(4, 6, (1, 3), groups=2, bias=False), (2, 4, 5, 6)),
    (lambda: nn.Conv1d(3, 5, 4, stride=3, bias=False), (2, 3, 11)),
    (lambda: nn.Conv3d(2, 3, 2, bias=False), (2, 2, 3, 4, 5)),
    (lambda: nn.Conv2d(4, 4, 3, groups=4, padding=1, bias=False), (2, 4, 5, 5)),
]


@pytest.mark.parametrize(("layer", "shape"), CONVOLUTIONS)
def test_patches_are_what_kernels_multiply(layer, shape):
    layer, given = layer(), torch.randn(*shape)
    expected = layer(given)
    groups = layer.groups
    found = patches(layer, given).reshape(len(given), groups, -1, layer.weight[0].numel())
    kernels = layer.weight.flatten(1).view(groups, -1, found.shape[-1])
    products = torch.einsum("bgpc,goc->bgop", found, kernels)
    assert torch.allclose(products.reshape(expected.shape), expected, atol=1e-5)


def test_padding_is_not_looked_at():
    given = torch.arange(12.0).view(2, 3, 2)
    rows = _vectors(nn.Linear(2, 1), given, torch.tensor([3, 1]))
    assert torch.equal(rows, torch.cat((given[0], given[1, :1])))


class Mixed(nn.Module):
    """A convolution, packed attention, and a layer whose weight alone is read."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 8, 5, padding=2)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.read = nn.Linear(8, 6)

    def forward(self, x):
        x = torch.tanh(self.conv(x[:, None])).mT
        x = self.attention(x, x, x, need_weights=False)[0].mean(1)
        return x @ self.read.weight.T


def test_targets_without_inputs_of_their_own(taught, terms_of, keeps_its_word):
    terms = terms_of(taught(Mixed, "read.weight"), parameters=120)
    found = keeps_its_word(eva, terms, learning_rates=1, batches=3)
    by_gradient = {name.split(".")[0] for name in found.about["by_gradient"]}
    assert by_gradient == {"attention"}
    assert len(found.about["by_gradient"]) == 4
    assert found.about["never_called"] == ["read.weight"]
    costs = [stage.example_passes for stage in found.ledger[:2]]
    assert costs == [96, 192]


def test_a_gradient_has_the_directions_of_the_inputs_it_sums_up():
    torch.manual_seed(0)
    inputs = torch.randn(2, 9)
    directions = of_gradient(torch.randn(5, 2) @ inputs)
    assert len(directions.ratios) == 2
    within = torch.linalg.lstsq(inputs.T, directions.vectors.T).solution
    assert torch.allclose(inputs.T @ within, directions.vectors.T, atol=1e-5)


def test_observing_leaves_no_hooks_and_keeps_as_many_as_asked(terms):
    work = Work(terms, seed=0)
    observed = observe(work, ("2",), 4, 20)
    assert observed.example_passes == 4 * 32
    assert observed.rows("2").shape == (20, 16)
    assert observed.rows("0") is None
    again = observe(Work(terms, seed=0), ("2",), 4, 20)
    assert torch.equal(again.rows("2"), observed.rows("2"))
