"""The laws under torch's function transforms; where torch cannot, its error is named.

Export knows no such limit: torch exports every example, strictly and not.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from autolora.lora import views
from autolora.lora.example import Example
from autolora.testing.stage import FORMS, Mode, adapted, close, form, stage, tensors
from autolora.testing.transforms import (
    TRANSFORM_LAWS,
    Pair,
    TransformLaw,
    pair,
    the_export_agrees,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:There is a performance drop because we have not yet"),
    pytest.mark.filterwarnings("ignore:enable_nested_tensor is True"),
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths"),
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors"),
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning"),  # its own
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN"),
]

# What torch itself cannot do, with plain weights neither: layer types, laws, torch's error.
_FORWARD = ("directional_derivatives_agree", "jacobians_agree", "curvatures_agree")
LIMITS: tuple[tuple[tuple[type[nn.Module], ...], tuple[str, ...], str], ...] = (
    (
        (nn.RNNBase, nn.LSTMCell),
        ("candidates_are_stacked",),
        "Batching rule not implemented for aten::(rnn_tanh|rnn_relu|gru|lstm|lstm_cell)",
    ),
    (
        (nn.RNNBase,),  # which adds a batch in place, and looks at the lengths of a packed one
        ("gradients_of_each_sample_agree",),
        "doesn't match the broadcast shape|It looks like you're either",
    ),
    ((nn.EmbeddingBag,), _FORWARD, "Trying to use forward AD with _embedding_bag"),
)
PACKED = "Cannot access data pointer of Tensor"  # of a packed sequence, by torch.func
ROUTED = "batching operators that can support dynamic shape"  # each sample has other experts

NAMES = ("linear", "linear_tokens", "conv2d", "conv2d_groups", "embedding", "attention", "tied")
SOME = [e for view in views.all_views() for e in view.EXAMPLES if e.name in NAMES]
OF_NUMBERS = [e for e in SOME if e.inputs()[0].is_floating_point()]


@pytest.fixture(params=(*FORMS, "chosen"))
def product(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every product apart, none, or as the rule of costs chooses."""
    with nullcontext() if request.param == "chosen" else form(request.param):
        yield


@pytest.fixture
def plain_attention() -> Iterator[None]:
    """Torch's fused attention on a CPU has no forward derivative; the written-out one has."""
    with sdpa_kernel(SDPBackend.MATH):
        yield


@pytest.mark.usefixtures("plain_attention", "product")
@pytest.mark.parametrize("law", TRANSFORM_LAWS, ids=lambda law: law.__name__)
def test_transform(law: TransformLaw, example: Example) -> None:
    both = pair(example)
    if (limit := _limit(example, law.__name__)) is None:
        law(both)
        return
    for f in (both.dense, both.mine):
        with pytest.raises((RuntimeError, NotImplementedError), match=limit):
            law(Pair(f, f, both.factors, both.inputs))


@pytest.mark.usefixtures("plain_attention", "product")
@pytest.mark.parametrize("example", SOME, ids=lambda example: example.name)
def test_gradients_are_those_of_small_steps(example: Example) -> None:
    """Once, twice, forward, and in batches of gradients, for factors and inputs."""
    answer, leaves = _as_function(example)
    how = {"check_batched_grad": True, "fast_mode": True}
    assert torch.autograd.gradcheck(answer, leaves, check_forward_ad=True, **how)
    assert torch.autograd.gradgradcheck(answer, leaves, **how)


@pytest.mark.usefixtures("product")
@pytest.mark.parametrize("example", OF_NUMBERS, ids=lambda example: example.name)
def test_frozen_factors_let_the_gradient_through(example: Example) -> None:
    """An adapter that is only used, below something that learns."""
    answer, leaves = _as_function(example)
    factors, inputs = leaves[:-1], leaves[-1]
    wanted = torch.autograd.grad(answer(*leaves).sum(), inputs)
    for factor in factors:
        factor.requires_grad_(False)
    close(torch.autograd.grad(answer(*leaves).sum(), inputs), wanted)


@pytest.mark.usefixtures("product")
@pytest.mark.parametrize("example", SOME, ids=lambda example: example.name)
def test_what_is_kept_for_the_backward_pass_may_lie_elsewhere(example: Example) -> None:
    """`saved_tensors_hooks`, with which activations are offloaded."""
    answer, leaves = _as_function(example)
    wanted = torch.autograd.grad(answer(*leaves).square().sum(), leaves)
    packed: list[Tensor] = []

    def pack(tensor: Tensor) -> int:
        packed.append(tensor.detach().clone())
        return len(packed) - 1

    with torch.autograd.graph.saved_tensors_hooks(pack, packed.__getitem__):
        found = torch.autograd.grad(answer(*leaves).square().sum(), leaves)
    assert packed
    close(found, wanted)


@pytest.mark.usefixtures("product")
@pytest.mark.parametrize("mode", ["train", "no_grad"])
@pytest.mark.parametrize("strict", [False, True], ids=["traced", "strict"])
@pytest.mark.filterwarnings("ignore:The tensor attributes")  # a recurrent layer's own list
@pytest.mark.slow
def test_exported(example: Example, mode: Mode, *, strict: bool) -> None:
    if example.name.endswith("_packed"):  # torch cannot, of the plain layer either
        plain = stage(example, mode)
        with pytest.raises((TypeError, torch._dynamo.exc.Unsupported)):
            torch.export.export(plain.model, plain.inputs, strict=strict)
        return
    the_export_agrees(example, mode, strict=strict)


@pytest.mark.usefixtures("product")
@pytest.mark.parametrize("example", SOME, ids=lambda example: example.name)
def test_some_exported(example: Example) -> None:
    the_export_agrees(example, "eval", strict=False)


def _limit(example: Example, law: str) -> str | None:
    layers = list(example.model().modules())
    for types, laws, error in LIMITS:
        if law in laws and any(isinstance(layer, types) for layer in layers):
            return error
    if (example.name, law) == ("experts", "gradients_of_each_sample_agree"):
        return ROUTED
    differentiates = law in (*_FORWARD, "gradients_agree")
    return PACKED if differentiates and example.name.endswith("_packed") else None


def _as_function(example: Example) -> tuple[Callable[..., Tensor], tuple[Tensor, ...]]:
    """What an example answers, of its factors and of its first input if that is a number.

    No transform of `torch.func` is at work, so that products are the ones of any training.
    """
    made = adapted(example, "train")
    factors = {n: p for n, p in made.model.named_parameters() if p.requires_grad}
    floats = [v.clone().requires_grad_(True) for v in made.inputs if v.is_floating_point()][:1]

    def answer(*given: Tensor) -> Tensor:
        values = dict(zip(factors, given, strict=False))
        inputs = (*given[len(factors) :], *made.inputs[len(floats) :])
        found = torch.func.functional_call(made.model, values, inputs)
        return torch.cat([t.flatten() for t in tensors(found)])

    return answer, (*factors.values(), *floats)
