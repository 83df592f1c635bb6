"""Pretrained models by name, as the tasks use them; or code of the user's own."""

import copy
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType

import torch
from torch import nn

from autolora.data.assets import fetch
from autolora.data.minilm import minilm
from autolora.data.resemblyzer import resemblyzer
from autolora.data.smollm2 import smollm2
from autolora.data.whisper import whisper_tiny_en
from autolora.errors import CodeNotAllowed, MissingExtra, NoSuchModel, UnknownName


def build(name: str, *, allow_code: bool = False) -> nn.Module:
    """A model by its name, or by `package.module:function` where code is allowed.

    A model of a name is equal at every call, its new head included, so that an adapter of it finds
    its base again; the caller's random numbers go on as if nothing had been drawn.

    Raises:
        UnknownName: if there is no model of that name.
        CodeNotAllowed: if the name is code and code is not allowed.
        NoSuchModel: if the code cannot be imported or gives no module.
    """
    if ":" not in name:
        if name not in MODELS:
            raise UnknownName("model", name, MODELS)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return MODELS[name]()
    if not allow_code:
        raise CodeNotAllowed(name)
    return _from_code(name)


def mobilenet_v2(classes: int = 10) -> nn.Module:
    """MobileNetV2 with torchvision's ImageNet weights and a new head `classifier.1`.

    The head is drawn from torch's generator; everything else is equal at every call. Weights lie
    channels last: a step of 32 images at 48 pixels took 98 ms so, and 182 ms otherwise (one
    thread, rank 2 at 35 targets).

    Source: Sandler et al. 2018.

    Raises:
        MissingExtra: if torchvision is not installed.
    """
    model = copy.deepcopy(_pristine_mobilenet_v2())
    head = model.get_submodule("classifier")
    assert isinstance(head, nn.Sequential)
    head[1] = nn.Linear(1280, classes)
    return model


MODELS: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {
        "mobilenet_v2": mobilenet_v2,
        "minilm": minilm,
        "whisper_tiny_en": whisper_tiny_en,
        "resemblyzer": resemblyzer,
        "smollm2": smollm2,
    }
)


@cache
def _pristine_mobilenet_v2() -> nn.Module:
    """The base of this process; built without drawing a single random number."""
    try:
        from torchvision.models import mobilenet_v2 as architecture
    except ImportError as error:
        raise MissingExtra("the model mobilenet_v2", "torchvision", "vision") from error
    weights = torch.load(fetch("mobilenet_v2"), map_location="cpu", weights_only=True)
    with torch.device("meta"):
        model: nn.Module = architecture(weights=None)
    model.load_state_dict(weights, strict=True, assign=True)
    return model.to(memory_format=torch.channels_last)


def _from_code(name: str) -> nn.Module:
    module, _, function = name.partition(":")
    try:
        made = getattr(import_module(module), function)()
    except (ImportError, AttributeError, ValueError) as error:
        raise NoSuchModel(name, str(error)) from error
    if not isinstance(made, nn.Module):
        raise NoSuchModel(name, f"it gives a {type(made).__name__}, not a torch module")
    return made
