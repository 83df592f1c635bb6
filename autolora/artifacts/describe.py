"""What a foreign format needs to know of a layer, as plain data."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from autolora.lora.sealed import shape

_GEOMETRY = ("kernel_size", "stride", "dilation", "groups", "padding_mode", "is_transposed")


def describe(model: nn.Module, paths: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Of every layer: its type and its owner's, its geometry, and whether it is used twice."""
    everywhere = (m for _, m in model.named_modules(remove_duplicate=False))
    uses = Counter(id(p) for m in everywhere for p in _own(m).values())
    return {path: _described(model, path, uses) for path in sorted(set(paths))}


def _described(model: nn.Module, path: str, uses: Mapping[int, int]) -> dict[str, Any]:
    layer = model.get_submodule(path)
    owner = type(model.get_submodule(path.rpartition(".")[0])) if path else nn.Module
    # A class of the user's own inherits what torch's class does with the layers inside.
    known = next((c for c in owner.__mro__ if c.__module__.startswith("torch.")), owner)
    mine = _own(layer)
    return {
        "type": type_name(type(layer)),
        "owner": type_name(known),
        "tied": any(uses[id(parameter)] > 1 for parameter in mine.values()),
        # In the order of registration, which an object of JSON need not keep.
        "parameters": [[name, list(shape(layer, name))] for name in mine],
        **{name: getattr(layer, name) for name in _GEOMETRY if hasattr(layer, name)},
    }


def _own(layer: nn.Module) -> dict[str, nn.Parameter]:
    return {n: p for n, p in layer._parameters.items() if p is not None}  # noqa: SLF001


def type_name(cls: type) -> str:
    """`torch.nn.modules.conv.Conv2d`."""
    return f"{cls.__module__}.{cls.__qualname__}"
