"""What is measured: layers and whole models, their inputs, and which of their weights adapt."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from autolora import Target
from benchmarks import architectures

Inputs = tuple[Tensor, ...] | Mapping[str, Tensor]


@dataclass(frozen=True)
class Case:
    """A model, the inputs of one call, and the rank of each adapted parameter.

    `strict`: a whole transformer, held to stricter targets. `peft` says whether PEFT adapts it as
    we do; `counted` whether torch counts its FLOPs right, for it forgets groups in the gradient of
    a kernel.
    """

    name: str
    model: Callable[[], nn.Module]
    inputs: Callable[[], Inputs]
    rank: int = 8
    dropout: float = 0.0
    strict: bool = False
    chosen: Callable[[Target], bool] = lambda _: True
    peft: bool = True
    counted: bool = True

    def allocation(self, targets: Sequence[Target]) -> dict[str, int]:
        """Target name to rank: blocks of a packed parameter share the case's rank.

        PEFT has one delta for a packed parameter; so both sides have deltas of equal rank there.
        """
        chosen = [target for target in targets if self.chosen(target)]
        ranks = {}
        for target in chosen:
            same = (target.layer, target.parameter)
            packed = [t.name for t in chosen if (t.layer, t.parameter) == same]
            share, rest = divmod(self.rank, len(packed))
            ranks[target.name] = min(share + (packed.index(target.name) < rest), target.max_rank)
        return ranks


class Within(nn.Module):
    """A parent (PEFT replaces layers in theirs) that gives the first tensor of a call."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *inputs: Tensor, **named: Tensor) -> Tensor:
        out = self.inner(*inputs, **named)
        y: Tensor = out if isinstance(out, Tensor) else out[0]
        return y


def call(model: nn.Module, inputs: Inputs) -> Tensor:
    """The model's answer; transformers name their inputs, and PEFT's layers rename torch's."""
    y: Tensor = model(*inputs) if isinstance(inputs, tuple) else model(**inputs)
    return y


def layer_cases(*, quick: bool = False) -> list[Case]:
    """One layer each; its input asks for a gradient, as it does inside a network."""
    wide = [(768, 768), (768, 3072)]
    linears = [_linear(n, *w) for w in wide for n in (16, 128, 1024, 4096)]
    convs = [
        _layer("Conv2d 128→128 3×3, 8×28×28", lambda: nn.Conv2d(128, 128, 3, padding=1), _image()),
        _layer("Conv2d 96→576 1×1, 8×28×28", lambda: nn.Conv2d(96, 576, 1), _image(96)),
        _grouped("Conv2d 128→128 3×3 in 4 groups, 8×28×28", 4),
        _grouped("Conv2d 128 3×3 depthwise, 8×28×28", 128),
        _layer(
            "Conv1d 384→384 3, stride 2, 4×3000",
            lambda: nn.Conv1d(384, 384, 3, stride=2, padding=1),
            lambda: (torch.randn(4, 384, 3000, requires_grad=True),),
        ),
    ]
    others = [
        _layer(
            "Embedding 30522×384, 512 ids",
            lambda: nn.Embedding(30522, 384),
            lambda: (torch.randint(30522, (16, 32)),),
        ),
        _layer("MultiheadAttention 384, 16×32", _attention, _query),
        _layer(
            "LSTM 256, 32 steps × 8",
            lambda: nn.LSTM(256, 256),
            lambda: (torch.randn(32, 8, 256, requires_grad=True),),
        ),
    ]
    return [linears[0], convs[1], *others] if quick else linears + convs + others


def model_cases(*, quick: bool = False) -> list[Case]:
    """Whole models at every rank; their inputs ask for no gradient."""
    if quick:
        return [_model("MiniLM, 2×8 tokens", architectures.minilm, _tokens(2, 8), 8)]
    dropped = _model("MiniLM, 16×32 tokens", architectures.minilm, _tokens(16, 32), 8, dropout=0.1)
    return [
        _model(name, model, inputs, rank)
        for name, model, inputs in (
            ("MiniLM, 16×32 tokens", architectures.minilm, _tokens(16, 32)),
            ("MiniLM, 16×64 tokens", architectures.minilm, _tokens(16, 64)),
            ("MobileNetV2, 32 images of 48²", architectures.mobilenet_v2, _images),
            ("Whisper tiny.en, 8 × 4 s, 20 tokens", architectures.whisper_tiny_en, _speech),
            ("SmolLM2, 4×64 tokens", architectures.smollm2, _tokens(4, 64, 49152)),
        )
        for rank in (1, 8, 64)
    ] + [dropped]


def _model(
    name: str,
    model: Callable[[], nn.Module],
    inputs: Callable[[], Inputs],
    rank: int,
    *,
    dropout: float = 0.0,
) -> Case:
    network = model is architectures.mobilenet_v2
    kinds = ("conv", "pointwise", "linear") if network else ("linear",)
    return Case(
        f"{name}, rank {rank}" + (f", dropout {dropout}" if dropout else ""),
        lambda: Within(model()),
        inputs,
        rank,
        dropout,
        strict=not network and rank == 8 and not dropout,
        # A tied vocabulary is met as an embedding first, so it is not among the linear ones.
        chosen=lambda target: target.kind in kinds,
    )


def _layer(
    name: str, layer: Callable[[], nn.Module], inputs: Callable[[], Inputs], **more: Any
) -> Case:
    return Case(name, lambda: Within(layer()), inputs, **more)


def _linear(tokens: int, columns: int, rows: int) -> Case:
    return _layer(
        f"Linear {columns}→{rows}, {tokens} tokens",
        lambda: nn.Linear(columns, rows),
        lambda: (torch.randn(tokens, columns, requires_grad=True),),
    )


def _grouped(name: str, groups: int) -> Case:
    """PEFT's delta leaks across groups, so it is no peer here."""

    def layer() -> nn.Module:
        return nn.Conv2d(128, 128, 3, padding=1, groups=groups)

    return _layer(name, layer, _image(), peft=False, counted=False)


def _image(channels: int = 128) -> Callable[[], Inputs]:
    return lambda: (torch.randn(8, channels, 28, 28, requires_grad=True),)


def _attention() -> nn.Module:
    return nn.MultiheadAttention(384, 12, batch_first=True)


def _query() -> Inputs:
    x = torch.randn(16, 32, 384, requires_grad=True)
    return x, x, x


def _tokens(batch: int, length: int, vocabulary: int = 30522) -> Callable[[], Inputs]:
    return lambda: {"input_ids": torch.randint(vocabulary, (batch, length))}


def _images() -> Inputs:
    return (torch.randn(32, 3, 48, 48).to(memory_format=torch.channels_last),)


def _speech() -> Inputs:
    return {
        "input_features": torch.randn(8, 80, 400),
        "decoder_input_ids": torch.randint(51864, (8, 20)),
    }
