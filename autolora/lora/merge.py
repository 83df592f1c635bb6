"""Merge: the delta becomes part of the base, and the model a plain one."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autolora.errors import NotAttached, NotMerged
from autolora.lora.attach import adapters, release
from autolora.lora.freeze import freeze, set_surroundings
from autolora.lora.low_rank import Lora
from autolora.lora.shadow import Hidden, check_shown, drop_children, hide, show
from autolora.lora.targets import CHILD
from autolora.lora.weight import AdaptedWeight


@dataclass(frozen=True)
class Merged:
    """The way back from `merge`: the base as it was, and the adapter.

    It holds a copy of every merged weight; drop it to free them. `trained` are the parameters
    that were trained in full beside the deltas.
    """

    model: nn.Module
    hidden: Hidden
    children: list[tuple[nn.Module, Lora]]
    bases: list[tuple[nn.Module, str, Tensor]]
    trained: list[nn.Parameter]

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
        for layer, child in self.children:
            layer.add_module(CHILD, child)
        show(self.hidden)
        set_surroundings(self.model)


@torch.no_grad()
def merge(model: nn.Module) -> Merged:
    """Adds every delta to its base, once and in high precision, and takes the adapters away.

    A tied weight is merged once. The sum is formed in float64 and rounded to the base's type.

    Raises:
        NotAttached: if the model carries no adapter.
        Disabled: if an adapter is out of sight.

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
    hidden = hide(model)
    bases = []
    for layer, name, weight in {id(found[-1].delta): found for found in hidden}.values():
        bases.append((layer, name, weight.base.detach().clone()))
        weight.base.copy_(precise(weight))
    children = drop_children(model, only_empty=False)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    release(model)
    return Merged(model, hidden, children, bases, trained)


def precise(weight: AdaptedWeight) -> Tensor:
    """The sum of base and delta in float64, without dropout.

    Shapes: those of the parameter.
    """
    up, down = weight.delta.factors(torch.float64)
    return weight.base.double() + (up @ down).view(weight.base.shape)
