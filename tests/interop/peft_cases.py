"""Layers and small models on which autolora and PEFT are compared, and what is adapted there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.pytorch_utils import Conv1D


@dataclass(frozen=True)
class Case:
    """A model, the inputs of one call, and PEFT's names of what is adapted.

    `silent` are layers whose delta is zero: what is left when they cannot differ.
    """

    name: str
    model: Callable[[], nn.Module]
    inputs: Callable[[], tuple[Any, ...]]
    modules: tuple[str, ...] = ("inner",)
    parameters: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()


class Within(nn.Module):
    """PEFT replaces layers in their parents, so a layer needs one."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *inputs: Any) -> Any:
        return self.inner(*inputs)


class SelfAttention(nn.Module):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(8, 2, **options)

    def forward(self, x: Tensor, memory: Tensor | None = None) -> Any:
        memory = x if memory is None else memory
        return self.inner(x, memory, memory)


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lin0 = nn.Linear(10, 20)
        self.norm = nn.LayerNorm(20)
        self.lin1 = nn.Linear(20, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.lin1(self.norm(F.relu(self.lin0(x)))).log_softmax(-1)


class EmbeddedConv1D(nn.Module):
    """GPT-2's kind of layers: a vocabulary and a transposed linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(100, 5)
        self.conv1d = Conv1D(3, 5)
        self.lin0 = nn.Linear(12, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.lin0(F.relu(self.conv1d(self.emb(tokens))).flatten(1))


class Images(nn.Module):
    def __init__(self, *convs: nn.Module) -> None:
        super().__init__()
        self.convs = nn.ModuleList(convs)
        self.lin0 = nn.Linear(convs[-1].out_channels, 2)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = torch.tanh(conv(x))
        return self.lin0(x.flatten(2).mean(-1))


class Parameters(nn.Module):
    """A layer that PEFT does not know, with matrices of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Parameter(torch.randn(12, 6))
        self.down = nn.Parameter(torch.randn(5, 12))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(torch.tanh(F.linear(x, self.up)), self.down)


class ReadsWeight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.inner.weight.t() + self.inner.bias


class ReadsStride(nn.Module):
    """As Whisper's encoder does to learn how long its sequence becomes."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv1d(4, 6, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)[..., : x.shape[-1] // self.inner.stride[0]]


class Scaled(nn.Linear):
    """A linear layer with a forward of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, 3 * self.weight, self.bias)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.look_up = nn.Embedding(11, 6)
        self.predict = nn.Linear(6, 11, bias=False)
        self.predict.weight = self.look_up.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.predict(torch.tanh(self.look_up(tokens)))


def shared() -> nn.Module:
    layer = nn.Linear(6, 6)
    return nn.Sequential(layer, nn.Tanh(), layer)


def encoder_layer() -> nn.Module:
    return Within(nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True))


def _case(name: str, layer: Callable[[], nn.Module], *shape: int, **more: Any) -> Case:
    return Case(name, lambda: Within(layer()), lambda: (torch.randn(*shape),), **more)


def _tokens(name: str, layer: Callable[[], nn.Module], **more: Any) -> Case:
    ids = lambda: (torch.tensor([[0, 1, 2, 2], [3, 4, 0, 8]]),)  # noqa: E731
    return Case(name, lambda: Within(layer()), ids, **more)


def _model(
    name: str, model: Callable[[], nn.Module], inputs: Callable[[], tuple[Any, ...]], *names: str
) -> Case:
    return Case(name, model, inputs, names)


def _attention(name: str, *, silent: bool = False, memory: bool = False, **options: Any) -> Case:
    def inputs() -> tuple[Tensor, ...]:
        widths = (options.get("kdim", 8),) * memory
        return tuple(torch.randn(3, 5, width) for width in (8, *widths))

    nothing = ("inner.out_proj",) if silent else ()
    return Case(name, lambda: SelfAttention(**options), inputs, silent=nothing)


def _recurrent(name: str, layer: Callable[[], nn.Module]) -> Case:
    weights = tuple(f"inner.{n}" for n, p in layer().named_parameters() if p.ndim == 2)
    return _case(name, layer, 6, 3, 5, modules=(), parameters=weights)


def _step() -> tuple[Any, ...]:
    """From a state that is not zero, so that every weight matters."""
    return torch.randn(3, 5), (torch.randn(3, 4), torch.randn(3, 4))


def _padded(mode: Literal["reflect", "replicate", "circular"]) -> Case:
    layer = lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode=mode)  # noqa: E731
    return _case(f"conv2d padding_mode={mode}", layer, 2, 4, 7, 7)


def _image() -> tuple[Tensor, ...]:
    return (torch.randn(2, 3, 11, 11),)


def _sequence() -> tuple[Tensor, ...]:
    return (torch.randn(2, 5, 8),)


CASES = (
    # linear
    _case("linear", lambda: nn.Linear(7, 5), 2, 3, 7),
    _case("linear without bias", lambda: nn.Linear(7, 5, bias=False), 4, 7),
    _case("linear of one vector", lambda: nn.Linear(7, 5), 7),
    _case("transformers Conv1D", lambda: Conv1D(5, 7), 2, 3, 7),
    _case("subclass of linear that scales its weight", lambda: Scaled(7, 5), 4, 7),
    # embedding
    _tokens("embedding", lambda: nn.Embedding(9, 6)),
    _tokens("embedding padding_idx", lambda: nn.Embedding(9, 6, padding_idx=0)),
    _tokens("embedding scale_grad_by_freq", lambda: nn.Embedding(9, 6, scale_grad_by_freq=True)),
    _tokens("embedding bag", lambda: nn.EmbeddingBag(9, 6)),
    # convolutions
    _case("conv1d", lambda: nn.Conv1d(4, 6, 3), 2, 4, 9),
    _case("conv1d stride, padding", lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1), 2, 4, 9),
    _case("conv1d dilation", lambda: nn.Conv1d(4, 6, 3, dilation=2), 2, 4, 12),
    _case("conv1d kernel 1", lambda: nn.Conv1d(4, 6, 1), 2, 4, 9),
    _case("conv1d groups", lambda: nn.Conv1d(4, 6, 3, groups=2), 2, 4, 9),
    _case("conv2d", lambda: nn.Conv2d(4, 6, 3, bias=False), 2, 4, 7, 7),
    _case("conv2d unbatched", lambda: nn.Conv2d(4, 6, 3), 4, 7, 7),
    _case("conv2d asymmetric", lambda: nn.Conv2d(4, 6, (3, 1), (2, 1), (1, 0)), 2, 4, 7, 7),
    _case("conv2d padding=same", lambda: nn.Conv2d(4, 6, (4, 3), padding="same"), 2, 4, 9, 9),
    _case(
        "conv2d padding=same, dilation",
        lambda: nn.Conv2d(4, 6, 3, padding="same", dilation=2),
        *(2, 4, 9, 9),
    ),
    _case("conv2d dilation", lambda: nn.Conv2d(4, 6, 3, padding=2, dilation=2), 2, 4, 9, 9),
    *(_padded(mode) for mode in ("reflect", "replicate", "circular")),
    _case("conv2d 1×1", lambda: nn.Conv2d(4, 6, 1, stride=2), 2, 4, 7, 7),
    _case("conv2d groups", lambda: nn.Conv2d(4, 6, 3, groups=2), 2, 4, 7, 7),
    _case("conv2d depthwise", lambda: nn.Conv2d(4, 4, 3, groups=4), 2, 4, 7, 7),
    _case("conv3d", lambda: nn.Conv3d(3, 6, (1, 2, 3), padding=(0, 1, 1)), 2, 3, 4, 5, 6),
    _case("conv3d 1×1×1", lambda: nn.Conv3d(4, 5, 1, stride=2), 2, 4, 4, 4, 4),
    _case("conv3d 1×1×3", lambda: nn.Conv3d(4, 5, (1, 1, 3)), 2, 4, 4, 4, 4),
    _case("conv transposed", lambda: nn.ConvTranspose2d(4, 6, 3, stride=2), 2, 4, 5, 5),
    Case("parent that reads .stride", ReadsStride, lambda: (torch.randn(2, 4, 9),)),
    # attention
    _attention("attention"),
    _attention("attention, batch first", batch_first=True),
    _attention("attention, delta of in_proj alone", silent=True),
    _attention("attention to a memory, in_proj alone", silent=True, memory=True),
    _attention("attention, bias_kv and zero, in_proj alone", silent=True, add_bias_kv=True,
               add_zero_attn=True),
    _attention("attention to keys of another width", memory=True, kdim=6, vdim=6),
    _model("attention, out_proj alone", SelfAttention, _sequence, "inner.out_proj"),
    # parameters
    _case("module of parameters", Parameters, 3, 6, modules=(),
          parameters=("inner.up", "inner.down")),
    _recurrent("rnn", lambda: nn.RNN(5, 4)),
    _recurrent("gru, 2 layers", lambda: nn.GRU(5, 4, num_layers=2)),
    _recurrent("lstm, bidirectional", lambda: nn.LSTM(5, 4, 2, bidirectional=True)),
    _recurrent("lstm proj_size", lambda: nn.LSTM(5, 6, proj_size=4)),
    Case("lstm cell", lambda: Within(nn.LSTMCell(5, 4)), _step, (),
         ("inner.weight_ih", "inner.weight_hh")),
    # models
    _model("mlp", Mlp, lambda: (torch.randn(4, 10),), "lin0", "lin1"),
    _model("embedding and transformers Conv1D", EmbeddedConv1D,
           lambda: (torch.randint(100, (3, 4)),), "emb", "conv1d", "lin0"),
    _model("conv2d net", lambda: Images(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 6, 3, 2)), _image,
           "convs.0", "convs.1", "lin0"),
    _model("bigger conv1d net", lambda: Images(nn.Conv1d(3, 16, 1), nn.Conv1d(16, 8, 2)),
           lambda: (torch.randn(2, 3, 9),), "convs.0", "convs.1"),
    _model("encoder layer, feed-forward", encoder_layer, _sequence, "inner.linear1",
           "inner.linear2"),
    Case("encoder layer, in_proj", encoder_layer, _sequence, ("inner.self_attn",),
         silent=("inner.self_attn.out_proj",)),
    # weights that PEFT's layer does not see used
    Case("parent that reads .weight", ReadsWeight, lambda: (torch.randn(3, 6),)),
    _model("tied vocabulary", Tied, lambda: (torch.arange(11).view(1, 11),), "look_up"),
    _model("layer under two names", shared, lambda: (torch.randn(3, 6),), "0"),
    # what PEFT has no layer for
    Case("bilinear", lambda: Within(nn.Bilinear(4, 5, 6)),
         lambda: (torch.randn(3, 4), torch.randn(3, 5))),
)  # fmt: skip
