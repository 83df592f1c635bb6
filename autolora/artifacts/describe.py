"""What a foreign format needs to know of a layer, as plain data."""

from typing import Any

from torch import nn


def describe(model: nn.Module, path: str) -> dict[str, Any]:
    """Its type and its owner's, its geometry, and whether it or its weight is used twice."""
    layer = model.get_submodule(path)
    geometry = ("kernel_size", "stride", "dilation", "groups", "padding_mode")
    owner = type(model.get_submodule(path.rpartition(".")[0])) if path else nn.Module
    # A class of the user's own inherits what torch's class does with the layers inside.
    known = next((c for c in owner.__mro__ if c.__module__.startswith("torch.")), owner)
    own = {id(p) for p in layer._parameters.values() if p is not None}  # noqa: SLF001
    everywhere = (m for _, m in model.named_modules(remove_duplicate=False))
    users = [p for m in everywhere for p in m._parameters.values() if id(p) in own]  # noqa: SLF001
    return {
        "type": type_name(type(layer)),
        "owner": type_name(known),
        "tied": len(users) > len(own),
        **{name: getattr(layer, name) for name in geometry if hasattr(layer, name)},
    }


def type_name(cls: type) -> str:
    """`torch.nn.modules.conv.Conv2d`."""
    return f"{cls.__module__}.{cls.__qualname__}"
