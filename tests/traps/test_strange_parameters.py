"""Parameters that a layer's view does not know: of subclasses, empty, pruned, of odd types."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from autolora.errors import RefusedTarget
from autolora.lora import attach, merge, targets
from autolora.testing.stage import attach_everywhere, randomise


def mixing(layer: type[nn.Module], *sizes: int) -> nn.Module:
    """A layer of a user's own class with one more matrix, whose rows are not the layer's."""

    class Mixing(layer):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__(*sizes)
            self.mix = nn.Parameter(torch.randn(2, 5))

        def forward(self, x: Tensor) -> Tensor:
            out = super().forward(x)
            return (out[0] if isinstance(out, tuple) else out).sum() * self.mix

    return Mixing().double()


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: mixing(nn.Linear, 4, 3), (2, 4)),
    "conv": (lambda: mixing(nn.Conv1d, 4, 3, 3), (2, 4, 6)),
    "transposed": (lambda: mixing(nn.ConvTranspose1d, 4, 3, 3), (2, 4, 6)),
    "lstm": (lambda: mixing(nn.LSTM, 4, 3), (5, 2, 4)),
    "gru cell": (lambda: mixing(nn.GRUCell, 4, 3), (2, 4)),
}


@pytest.mark.parametrize(("layer", "shape"), LAYERS.values(), ids=LAYERS)
def test_a_matrix_more_is_a_plain_matrix(
    layer: Callable[[], nn.Module], shape: tuple[int, ...]
) -> None:
    model, x = layer(), torch.randn(*shape).double()
    (mix,) = (t for t in targets(model) if t.name == "mix")
    assert (mix.kind, mix.block, mix.rows, mix.columns) == ("matrix", None, 2, 5)
    before = model(x)
    randomise(attach_everywhere(model))
    answer = model(x)
    assert not torch.equal(answer, before)
    merge(model)
    torch.testing.assert_close(model(x), answer)


@pytest.mark.parametrize("layer", [nn.Embedding, nn.EmbeddingBag])
def test_an_embedding_with_a_matrix_more(layer: type[nn.Module]) -> None:
    kinds = {t.name: (t.kind, t.rows, t.columns) for t in targets(mixing(layer, 9, 3))}
    assert kinds == {"weight": ("embedding", 9, 3), "mix": ("matrix", 2, 5)}


def test_attention_with_a_matrix_more() -> None:
    kinds = {t.name: t.kind for t in targets(mixing(nn.MultiheadAttention, 4, 2))}
    assert kinds["mix"] == "matrix"


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("sizes", [(4, 0), (0, 4)])
def test_an_empty_matrix_is_no_target(sizes: tuple[int, int]) -> None:
    assert targets(nn.Linear(*sizes)) == ()


@pytest.mark.parametrize("layer", [lambda: nn.Linear(4, 3), lambda: nn.Conv1d(4, 3, 3)])
def test_a_pruned_weight_is_refused(layer: Callable[[], nn.Module]) -> None:
    model = layer()
    prune.random_unstructured(model, "weight", 0.5)
    assert targets(model) == ()
    with pytest.raises(RefusedTarget, match=r"^weight cannot be adapted: a hook computes it"):
        attach(model, {"weight": 1})
    prune.remove(model, "weight")
    attach(model, {"weight": 1})


def test_a_type_that_torch_cannot_add_is_refused() -> None:
    model = nn.Linear(4, 3)
    eight = model.weight.detach().to(torch.float8_e4m3fn)
    model.weight = nn.Parameter(eight, requires_grad=False)
    with pytest.raises(RefusedTarget, match=r"float8_e4m3fn.*; dequantise it first$"):
        attach(model, {"weight": 1})
    assert model.bias.requires_grad
