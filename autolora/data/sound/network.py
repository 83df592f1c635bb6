"""A pretrained model of recordings: what it hears, how it is called, what of it is new."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from autolora.artifacts.fingerprint import Fingerprint
from autolora.data.sound.features import Feature
from autolora.errors import UnknownName
from autolora.registry import nearest


class Heard(NamedTuple):
    """Recordings side by side, as a model takes them.

    Attributes:
        frames: What is heard of each.
        lengths: How many frames of each are no padding.
        said: The tokens that were said so far, for a model that writes the next one.

    Shapes: frames (batch, frames, bands); lengths (batch,); said (batch, tokens).
    """

    frames: Tensor
    lengths: Tensor
    said: Tensor | None = None


@dataclass(frozen=True)
class Network:
    """A pretrained model and how it is used.

    Attributes:
        base: The model of this process, never changed.
        call: Calls a model: scores (batch, classes) for classes; scores (batch, frames, letters)
            with how many frames count (batch,) for letters; `Seq2SeqLMOutput` for tokens.
        feature: What it hears.
        head: The modules that are new: drawn afresh for every model, and trained in full.
    """

    base: nn.Module
    call: Callable[[nn.Module, Heard], Any]
    feature: Feature
    head: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises `UnknownName` if the model has no module of a name in `head`."""
        known = [name for name, _ in self.base.named_modules() if name]
        for name in self.head:
            if name not in known:
                raise UnknownName("module of the model", name, nearest(name, known) or known)

    def fresh(self) -> nn.Module:
        """The model with its head drawn from torch's generator."""
        model = copy.deepcopy(self.base)
        for name in self.head:
            for module in model.get_submodule(name).modules():
                reset = getattr(module, "reset_parameters", None)
                if reset is not None:
                    reset()
        return model

    @property
    def identity(self) -> Any:
        """Plain data, equal where the base and what it hears are."""
        new = {
            f"{name}.{path}"
            for name in self.head
            for path, _ in self.base.get_submodule(name).named_parameters()
        }
        return [Fingerprint.of(self.base, trained=new).digest, self.feature.settings]


def undrawn(make: Callable[[], nn.Module]) -> nn.Module:
    """A model in evaluation mode, equal at every call; torch's generator stays where it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make().eval()


def mean_over(states: Tensor, lengths: Tensor) -> Tensor:
    """The mean of the states that are no padding.

    Shapes: states (batch, frames, width); lengths (batch,); result (batch, width).
    """
    places = torch.arange(states.shape[1], device=states.device)
    counted = (places < lengths[:, None])[..., None].to(states.dtype)
    return (states * counted).sum(1) / lengths[:, None]
