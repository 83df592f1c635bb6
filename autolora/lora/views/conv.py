"""Convolutions: rows are output channels, columns a patch of one group.

The weight of a transposed convolution is (in, out / groups, *kernel): its rows are the input
channels.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import nn

from autolora.lora.example import Example
from autolora.lora.views import Block

LAYERS = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)


def blocks(layer: nn.Module, parameter: str) -> tuple[Block, ...]:
    """The whole kernel."""
    if parameter != "weight":
        return ()
    assert isinstance(layer, nn.modules.conv._ConvNd)
    rows = layer.in_channels if layer.transposed else layer.out_channels
    return (Block(None, _kind(layer), 0, rows),)


def _kind(layer: nn.modules.conv._ConvNd) -> str:
    if layer.transposed:
        return "transposed"
    if layer.groups > 1:
        return "depthwise" if layer.groups == layer.in_channels else "grouped"
    return "pointwise" if all(size == 1 for size in layer.kernel_size) else "conv"


def _example(name: str, layer: Callable[[], nn.Module], *shape: int) -> Example:
    return Example(name, layer, lambda: (torch.randn(*shape),))


class Separable(nn.Module):
    """A depthwise convolution and a pointwise one, as in mobile networks."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
        self.pointwise = nn.Conv2d(4, 6, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The features of every pixel."""
        out: torch.Tensor = self.pointwise(torch.relu(self.depthwise(x)))
        return out


def _channels_last() -> Example:
    layout = torch.channels_last

    def layer() -> nn.Module:
        return nn.Conv2d(4, 6, 3, padding=1).to(memory_format=layout)

    return Example(
        "conv2d_channels_last", layer, lambda: (torch.randn(2, 4, 9, 9).to(memory_format=layout),)
    )


def _padded(mode: Literal["reflect", "replicate", "circular"]) -> Example:
    def layer() -> nn.Module:
        return nn.Conv2d(6, 8, 3, padding=1, padding_mode=mode, groups=2)

    return _example(f"conv2d_{mode}", layer, 2, 6, 7, 7)


EXAMPLES = (
    _example("conv1d", lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1), 2, 4, 9),
    _example("conv1d_same", lambda: nn.Conv1d(4, 6, 4, padding="same", dilation=2), 2, 4, 12),
    _example("conv2d", lambda: nn.Conv2d(4, 6, (3, 1), stride=(2, 1)), 2, 4, 7, 7),
    _example("conv2d_unbatched", lambda: nn.Conv2d(4, 6, 3, padding="valid"), 4, 7, 7),
    _example("conv2d_large", lambda: nn.Conv2d(16, 24, 3, padding=1, bias=False), 2, 16, 12, 12),
    _example("conv2d_dilated", lambda: nn.Conv2d(4, 6, 3, padding=2, dilation=2), 2, 4, 9, 9),
    _example("conv2d_groups", lambda: nn.Conv2d(12, 18, 3, groups=3, padding=1), 2, 12, 6, 6),
    _example("conv2d_depthwise", lambda: nn.Conv2d(8, 8, 3, groups=8, dilation=2), 2, 8, 9, 9),
    _example("conv2d_multiplier", lambda: nn.Conv2d(4, 12, 5, groups=4, padding=2), 2, 4, 9, 9),
    _example("conv2d_pointwise", lambda: nn.Conv2d(12, 16, 1), 2, 12, 5, 5),
    _example("conv2d_strided_pointwise", lambda: nn.Conv2d(6, 8, 1, stride=2), 2, 6, 17, 17),
    _channels_last(),
    _example("separable", Separable, 2, 4, 9, 9),
    _example("conv2d_same", lambda: nn.Conv2d(3, 5, (5, 3), padding="same"), 2, 3, 8, 8),
    *(_padded(mode) for mode in ("reflect", "replicate", "circular")),
    _example(
        "conv1d_circular",
        lambda: nn.Conv1d(4, 6, 3, padding=2, dilation=2, padding_mode="circular"),
        2,
        4,
        9,
    ),
    _example("conv3d_groups", lambda: nn.Conv3d(4, 8, 2, groups=2, padding=1), 2, 4, 4, 4, 4),
    _example("conv3d", lambda: nn.Conv3d(3, 6, (1, 2, 3), padding=(0, 1, 1)), 2, 3, 4, 5, 6),
    _example("conv3d_pointwise", lambda: nn.Conv3d(4, 5, 1, stride=2), 2, 4, 4, 4, 4),
    _example("conv1d_transposed", lambda: nn.ConvTranspose1d(4, 6, 3, stride=2), 2, 4, 7),
    _example(
        "conv2d_transposed",
        lambda: nn.ConvTranspose2d(6, 4, 3, stride=2, output_padding=1, groups=2, dilation=2),
        2,
        6,
        5,
        5,
    ),
    _example("conv1d_transposed_groups", lambda: nn.ConvTranspose1d(4, 4, 3, groups=4), 2, 4, 7),
    _example("conv3d_transposed", lambda: nn.ConvTranspose3d(3, 4, 2), 2, 3, 3, 3, 3),
)
