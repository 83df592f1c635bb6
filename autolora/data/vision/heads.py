"""A new head for a pretrained network: its last layer, with an output for each class."""

from typing import Any

from torch import nn

from autolora.errors import NoHead

_Layer = nn.Linear | nn.Conv2d


def with_head(network: nn.Module, outputs: int, name: str | None = None) -> tuple[str, ...]:
    """Replaces the head of a network in place; gives the names of the new layers.

    The head is the last linear layer or convolution, and those beside it (under the same parent)
    that have as many outputs, which are summed with it.

    Args:
        network: The network.
        outputs: How many outputs the head is to have.
        name: The layer that is the head, if it is not the last.

    Raises:
        NoHead: if the network has no such layer.
    """
    layers = {n: m for n, m in network.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    if not layers or (name is not None and name not in layers):
        raise NoHead(name, tuple(layers))
    last = name or list(layers)[-1]
    parent = last.rpartition(".")[0]
    found = [
        each
        for each, layer in layers.items()
        if each == last
        or (each.rpartition(".")[0] == parent and _outputs(layer) == _outputs(layers[last]))
    ]
    for each in found if name is None else [last]:
        network.set_submodule(each, _new(layers[each], outputs))
    return tuple(found if name is None else [last])


def drawn_again(network: nn.Module, head: tuple[str, ...]) -> nn.Module:
    """Draws the layers of a head from torch's generator."""
    for name in head:
        layer = network.get_submodule(name)
        assert isinstance(layer, nn.Linear | nn.Conv2d)
        layer.reset_parameters()
    return network


def _outputs(layer: _Layer) -> int:
    return layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels


def _new(layer: _Layer, outputs: int) -> _Layer:
    bias = layer.bias is not None
    if isinstance(layer, nn.Linear):
        return nn.Linear(layer.in_features, outputs, bias=bias)
    given: dict[str, Any] = {
        name: getattr(layer, name) for name in ("kernel_size", "stride", "padding", "dilation")
    }
    return nn.Conv2d(layer.in_channels, outputs, bias=bias, **given)
