"""Models with adapters, batches that name them, and the call of each sample alone."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

import autolora
from autolora.lora import attach, targets
from autolora.lora.active import activate
from autolora.lora.packed import split

Names = Sequence[str | None]
Call = Callable[[nn.Module, Tensor], Tensor]

RANKS = {"a": 1, "b": 3, "c": 4, "d": 2}
PATTERNS: dict[str, Names] = {
    "identical": ["b"] * 6,
    "base": [None] * 6,
    "distinct": ["d", "a", None, "c", "b", "absent"],
    "uniform": ["a", "b", "c", "a", "b", "c"],
    "zipf": ["a", "b", "a", "c", "a", "b"],
    "skewed": ["b", "c", "c", "c", "c", "c"],
    "none_among_them": [None, "c", None, "a", "c", None],
}


def call(model: nn.Module, x: Tensor) -> Tensor:
    y: Tensor = model(x)
    return y


def attention(**how: bool) -> Call:
    def attend(model: nn.Module, x: Tensor) -> Tensor:
        padding = torch.zeros(x.shape[:2], dtype=torch.bool)
        padding[:, -1] = True
        y, weights = model(x, x, x, key_padding_mask=padding, **how)
        return y if weights is None else torch.cat([y.flatten(1), weights.flatten(1)], 1)

    return attend


def masked(model: nn.Module, x: Tensor) -> Tensor:
    mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
    y: Tensor = model(x, x, x, attn_mask=mask, need_weights=False)[0]
    return y


def crossed(model: nn.Module, x: Tensor) -> Tensor:
    key, value = model.kdim, model.vdim
    y: Tensor = model(x, x[:, :3, :key], x[:, 1:4, :value])[0]
    return y


def memory(model: nn.Module, x: Tensor) -> Tensor:
    y: Tensor = model(x, x[:, :3] * 0.5, x[:, :3] * 0.5)[0]
    return y


def time_first(model: nn.Module, x: Tensor) -> Tensor:
    x = x.transpose(0, 1)
    y = model(x, x, x)[0] if isinstance(model, nn.MultiheadAttention) else model(x)
    return y.transpose(0, 1)


def decoded(model: nn.Module, x: Tensor) -> Tensor:
    x = x.transpose(0, 1)
    return model(x, x[:4] * 0.3).transpose(0, 1)


def fused_linear() -> nn.Module:
    layer = nn.Linear(8, 16)
    split(layer, {"query": 8, "key": 4, "value": 4})
    return layer


def encoder(*, batch_first: bool) -> nn.Module:
    layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=batch_first)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


def words(*shape: int) -> Tensor:
    return torch.randint(0, 9, shape)


MHA = nn.MultiheadAttention
SHAPE = (6, 6, 8)  # as many time steps as samples, so that a mix-up of both shows
CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor], Call]] = {
    "linear": (lambda: nn.Linear(8, 5), lambda: torch.randn(SHAPE), call),
    "linear_single": (lambda: nn.Linear(8, 5, bias=False), lambda: torch.randn(6, 8), call),
    "linear_long": (lambda: nn.Linear(8, 5), lambda: torch.randn(6, 800, 8), call),
    "linear_wide": (lambda: nn.Linear(8, 5), lambda: torch.randn(6, 2, 3, 8), call),
    "blocks": (fused_linear, lambda: torch.randn(SHAPE), call),
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, 2), lambda: torch.randn(6, 4, 9), call),
    "conv2d": (lambda: nn.Conv2d(4, 6, 3, padding=1), lambda: torch.randn(6, 4, 5, 5), call),
    "conv3d": (lambda: nn.Conv3d(2, 4, 2, dilation=2), lambda: torch.randn(6, 2, 5, 4, 4), call),
    "grouped": (
        lambda: nn.Conv2d(4, 6, 3, padding="same", groups=2, padding_mode="reflect"),
        lambda: torch.randn(6, 4, 5, 5),
        call,
    ),
    "depthwise": (lambda: nn.Conv1d(4, 8, 3, groups=4), lambda: torch.randn(6, 4, 9), call),
    "pointwise": (lambda: nn.Conv2d(8, 6, 1), lambda: torch.randn(6, 8, 60, 60), call),
    "embedding": (lambda: nn.Embedding(9, 8, padding_idx=2), lambda: words(6, 6), call),
    "attention": (lambda: MHA(8, 2, batch_first=True), lambda: torch.randn(SHAPE), attention()),
    "attention_each_head": (
        lambda: MHA(8, 2, batch_first=True, add_bias_kv=True, add_zero_attn=True),
        lambda: torch.randn(SHAPE),
        attention(average_attn_weights=False),
    ),
    "attention_masked": (
        lambda: MHA(8, 2, batch_first=True, bias=False),
        lambda: torch.randn(SHAPE),
        masked,
    ),
    "attention_memory": (lambda: MHA(8, 2, batch_first=True), lambda: torch.randn(SHAPE), memory),
    "attention_three": (
        lambda: MHA(8, 2, batch_first=True),
        lambda: torch.randn(SHAPE),
        crossed,
    ),
    "attention_crossed": (
        lambda: MHA(8, 2, kdim=6, vdim=5, batch_first=True),
        lambda: torch.randn(SHAPE),
        crossed,
    ),
    "attention_time_first": (lambda: MHA(8, 2), lambda: torch.randn(SHAPE), time_first),
    "encoder": (lambda: encoder(batch_first=True), lambda: torch.randn(SHAPE), call),
    "encoder_time_first": (
        lambda: encoder(batch_first=False),
        lambda: torch.randn(SHAPE),
        time_first,
    ),
    "decoder_time_first": (
        lambda: nn.TransformerDecoderLayer(8, 2, 12, dropout=0.0),
        lambda: torch.randn(SHAPE),
        decoded,
    ),
}
EACH = pytest.mark.parametrize(("make", "inputs", "run"), CASES.values(), ids=CASES)


def adapted(model: nn.Module, **how: float) -> nn.Module:
    """A model with adapters of other ranks, scales and targets; one has but a single target."""
    model = model.double()
    found = targets(model)
    for number, (name, rank) in enumerate(RANKS.items()):
        ranks = {t.name: min(rank, t.max_rank) for t in found[:: 1 + number % 2]}
        randomised(attach(model, ranks, name=name, scale=0.5 + number, **how))
    last = found[-1]
    randomised(attach(model, {last.name: 1}, name="absent"))
    return model


def randomised(adapter: autolora.Attached) -> None:
    for part in adapter.factors.values():
        for factor in part.parameters():
            nn.init.normal_(factor, std=0.5)


def looped(model: nn.Module, x: Tensor, names: Names, run: Call = call) -> Tensor:
    outs = []
    for sample, name in zip(x.split(1), names, strict=True):
        with activate(model, () if name is None else name):
            outs.append(run(model, sample))
    return torch.cat(outs)


def gradients(model: nn.Module, out: Tensor) -> dict[str, Tensor | None]:
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not out.requires_grad:
        return dict.fromkeys(named)
    slopes = torch.arange(out.numel(), dtype=out.dtype).view(out.shape).sin()
    found = torch.autograd.grad(out, list(named.values()), slopes, allow_unused=True)
    return dict(zip(named, found, strict=True))


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


def check_gradients(model: nn.Module, found: Tensor, wanted: Tensor, names: Names) -> None:
    there, wished = gradients(model, found), gradients(model, wanted)
    for name, gradient in wished.items():
        one = there[name]
        assert one is None or name.split(".")[-2].partition("[")[0] in names
        if one is None or gradient is None:
            assert gradient is None or not gradient.any()
            assert one is None or not one.any()
        else:
            close(one, gradient)


def net() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 3)
    return adapted(nn.Sequential(*layers))


X = torch.randn(4, 6, generator=torch.Generator().manual_seed(1)).double()
NAMES: Names = ["a", None, "c", "b"]
