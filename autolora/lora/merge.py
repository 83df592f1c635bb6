"""Merge: the delta becomes part of the base, and the model a plain one."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autolora.errors import MergeQuantised, NotAttached, NotMerged
from autolora.lora import layout
from autolora.lora.attach import adapters, release
from autolora.lora.delta import Lora
from autolora.lora.freeze import freeze, set_surroundings
from autolora.lora.requantise import Requantised, check_known, is_quantised, quantise_anew, values
from autolora.lora.shadow import Hidden, check_shown, drop_children, hide, seen, show
from autolora.lora.targets import CHILD, base_modules, join
from autolora.lora.weight import AdaptedWeight


@dataclass(frozen=True)
class Merged:
    """The way back from `merge`: the base as it was, and the adapter.

    It holds a copy of every merged weight; drop it to free them. `trained` are the parameters
    that were trained in full beside the deltas; `quantised` are the weights that were
    quantised anew, by name.
    """

    model: nn.Module
    hidden: Hidden
    children: list[tuple[nn.Module, Lora]]
    bases: list[tuple[nn.Module, str, Tensor]]
    trained: list[nn.Parameter]
    quantised: Mapping[str, Requantised]

    @property
    def errors(self) -> dict[str, float]:
        """How far each weight quantised anew is from its sum, relative to it (Frobenius norm)."""
        return {name: weight.error for name, weight in self.quantised.items()}

    @torch.no_grad()
    def unmerge(self) -> None:
        """Puts base and adapter back, bit for bit: copied, not subtracted.

        Raises:
            NotMerged: if the model carries an adapter again, or this has been done already.
        """
        if adapters(self.model) or not all(weight.delta.parts() for _, _, weight in self.hidden):
            raise NotMerged
        freeze(self.model)
        for parameter in self.trained:
            parameter.requires_grad_(True)
        for layer, name, value in self.bases:
            layer.get_parameter(name).copy_(value)
        for weight in self.quantised.values():
            weight.undo()
        for layer, child in self.children:
            layer.add_module(CHILD, child)
        show(self.hidden)
        set_surroundings(self.model)


@torch.no_grad()
def merge(model: nn.Module, *, requantise: bool = False) -> Merged:
    """Adds every delta to its base, once and in high precision, and takes the adapters away.

    A tied weight is merged once. The sum is formed in float64 and rounded to the base's type. A
    quantised base cannot hold the sum; with `requantise`, it is quantised anew, as near to the sum
    as its bits get, and `errors` of the result says how near that is.

    Raises:
        NotAttached: if the model carries no adapter.
        Disabled: if an adapter is out of sight.
        MergeQuantised: if a base is quantised and `requantise` is not set.
        NotRequantisable: if there is no known way to quantise a base anew.

    >>> from autolora.lora.attach import attach
    >>> model = nn.Sequential(nn.Linear(8, 4))
    >>> adapter = attach(model, {"0.weight": 2})
    >>> merged = merge(model)
    >>> sorted(model.state_dict())
    ['0.bias', '0.weight']
    """
    if not adapters(model):
        raise NotAttached("merge")
    check_shown(model)
    names = _quantised(model, requantise=requantise)
    hidden = hide(model)
    bases, quantised = [], {}
    for layer, name, weight in {id(found[-1].delta): found for found in hidden}.values():
        wanted = precise(weight, values(layer, name))
        if (key := (id(layer), name)) in names:
            quantised[names[key]] = quantise_anew(layer, name, wanted)
        else:
            bases.append((layer, name, weight.base.detach().clone()))
            weight.base.copy_(wanted)
    children = drop_children(model, only_empty=False)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    release(model)
    return Merged(model, hidden, children, bases, trained, quantised)


def _quantised(model: nn.Module, *, requantise: bool) -> dict[tuple[int, str], str]:
    """The names of adapted weights that are quantised, by layer and parameter."""
    found = {
        (id(layer), name): join(path, name)
        for path, layer in base_modules(model)
        for name in seen(layer)
        if is_quantised(layer, name)
    }
    if found and not requantise:
        raise MergeQuantised(found.values())
    for (_, parameter), name in found.items():
        check_known(model.get_submodule(name.rpartition(".")[0]), parameter, name)
    return found


def precise(weight: AdaptedWeight, base: Tensor) -> Tensor:
    """The sum of a base's values and the delta in float64, without dropout.

    Shapes: those of the parameter.
    """
    delta = weight.delta
    if not delta.active():
        return base.double()
    product = delta.matrix(torch.float64)
    return base.double() + layout.parameter(product, base.shape, delta.layout)
