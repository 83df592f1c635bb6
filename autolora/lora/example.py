"""What every case brings along: a layer in which each of its targets matters, and inputs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Example:
    """A small model and the arguments of one call; both are made anew at every use.

    The laws run it in float64 after `torch.manual_seed`, so makers may use torch's generator.
    """

    name: str
    model: Callable[[], nn.Module]
    inputs: Callable[[], tuple[Any, ...]]
