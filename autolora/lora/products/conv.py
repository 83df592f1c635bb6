"""One formula for convolutions of one, two and three dimensions.

A kernel seen as the matrix `flatten(1)` has rows = output channels and columns = a patch of one
group. So `down` is a kernel of rank output channels, applied to each group alike, and `up` a
1 × 1 convolution within each group: no group sees another, and the rank need not divide anything.
"""

import math
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from autolora.lora.weight import AdaptedWeight, product


@product(F.conv1d, F.conv2d, F.conv3d)
def conv(  # noqa: PLR0913 — the signature is torch's
    input: Any,  # noqa: A002
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Convolves with base and delta apart.

    Shapes: input (batch, channels, *space) or without the batch; weight (rows, channels / groups,
    *kernel); result (batch, rows, *space).
    """
    if not isinstance(weight, AdaptedWeight) or not isinstance(input, Tensor):
        return NotImplemented
    dropout, space = weight.delta.dropout, weight.ndim - 2
    strides = stride if isinstance(stride, (tuple, list)) else (stride,) * space
    positions = input.numel() // input.shape[-space - 1] // math.prod(strides)
    if dropout is None or not weight.apart(input.numel(), positions, groups):
        return NotImplemented
    convolve = (F.conv1d, F.conv2d, F.conv3d)[space - 1]
    up, down = weight.delta.factors(input.dtype)
    kernel = down.view(-1, *weight.shape[1:]).repeat(groups, *(1,) * (space + 1))
    through = F.dropout(input, dropout) if dropout else input
    hidden = convolve(through, kernel, None, stride, padding, dilation, groups)
    delta = convolve(hidden, up.view(*up.shape, *(1,) * space), groups=groups)
    return convolve(input, weight.base, bias, stride, padding, dilation, groups) + delta
