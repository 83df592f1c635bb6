"""What cannot be one mixed batch is refused."""

from collections.abc import Callable

import pytest
import torch
from mixed_cases import MHA, NAMES, Call, X, adapted, call, net, words
from torch import Tensor, nn

import autolora
from autolora.errors import AutoloraError, Disabled, NoSuchAdapter, NotMixable, WrongBatch


def test_an_unknown_name_is_refused() -> None:
    refused = pytest.raises(NoSuchAdapter, match="no adapter named 'z', but a, b, c, d, absent")
    with refused, autolora.mixed(net(), ["a", "z", None, None]):
        pass


def test_hidden_adapters_are_refused() -> None:
    model = net()
    with autolora.disabled(model), pytest.raises(Disabled), autolora.mixed(model, NAMES):
        pass


@pytest.mark.parametrize("shape", [(3, 6), (8, 6), (6,), (1, 4, 6)])
def test_another_number_of_samples_is_refused(shape) -> None:
    model = net()
    with autolora.mixed(model, NAMES), pytest.raises(WrongBatch, match=r"0\.weight was given"):
        model(torch.randn(shape).double())


NOT_SAMPLES_FIRST: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor], Call]] = {
    "positions": (lambda: nn.Embedding(9, 4), lambda: words(4), call),
    "one_image": (lambda: nn.Conv2d(4, 4, 1), lambda: torch.randn(4, 3, 3).double(), call),
    "attention": (
        lambda: MHA(8, 2),
        lambda: torch.randn(4, 3, 8).double(),
        lambda m, x: m(x, x, x)[0],
    ),
    "one_sequence": (
        lambda: MHA(8, 2),
        lambda: torch.randn(4, 8).double(),
        lambda m, x: m(x, x, x)[0],
    ),
}


@pytest.mark.parametrize(("make", "x", "run"), NOT_SAMPLES_FIRST.values(), ids=NOT_SAMPLES_FIRST)
def test_samples_elsewhere_are_refused(make, x, run) -> None:
    model = adapted(make())
    with autolora.mixed(model, NAMES), pytest.raises(WrongBatch):
        run(model, x())


class Reader(nn.Module):
    """A parent that reads its layer's weight."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.layer.weight.T


REFUSED: dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module], object]]] = {
    "lstm": (lambda: nn.LSTM(6, 4, batch_first=True), lambda m: m(torch.randn(4, 3, 6).double())),
    "gru_cell": (lambda: nn.GRUCell(6, 4), lambda m: m(X)),
    "bilinear": (lambda: nn.Bilinear(6, 6, 3), lambda m: m(X, X)),
    "transposed": (
        lambda: nn.ConvTranspose1d(4, 6, 3),
        lambda m: m(torch.randn(4, 4, 5).double()),
    ),
    "reader": (Reader, lambda m: m(X)),
}


@pytest.mark.parametrize(("make", "run"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("grad", [True, False])
def test_what_cannot_tell_samples_apart_is_refused(make, run, grad) -> None:
    model = adapted(make())
    with torch.set_grad_enabled(grad), autolora.mixed(model, ["b"] * 4):
        run(model)  # of one adapter alone it need not
    with torch.set_grad_enabled(grad), autolora.mixed(model, NAMES), pytest.raises(NotMixable):
        run(model)


def test_errors_are_one_sentence() -> None:
    for error in (NoSuchAdapter("z", ["a"]), WrongBatch("head.weight", (3, 6), 0, 4)):
        assert isinstance(error, AutoloraError)
        assert "\n" not in str(error)
