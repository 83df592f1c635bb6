"""The shadow of a parameter: what a layer finds under its name, and finding it again.

An `AdaptedWeight` lies in the layer's own dictionary, where Python looks before the module looks
among its parameters. See docs/decisions/0001.
"""

import sys
import weakref

from torch import nn

from autolora.errors import Disabled
from autolora.lora import layout, sealed
from autolora.lora.delta import Delta, Lora
from autolora.lora.low_rank import LowRank
from autolora.lora.targets import CHILD, Target, base_modules, join
from autolora.lora.weight import AdaptedWeight

_DEEPEST = 6  # calls between FSDP2 and here: a recurrent layer passes an assignment on
Hidden = list[tuple[nn.Module, str, AdaptedWeight]]


class Shadowed(dict[str, nn.Parameter | None]):
    """The parameters of a layer while one of them lies in a shadow.

    Assigning a parameter clears the entry of the layer that shadows it; here it is cast again, so
    that a layer finds the sum with whatever base is registered: by a user, by
    `load_state_dict(assign=True)`, by FSDP2 each time it gathers the weights of a recurrent layer.

    What torch compiled of a plain layer has no guard against a shadow, and would go on with the
    base; but it has one against another type of this dictionary. Graphs of both kinds are kept,
    and each is found again.

    FSDP2 splits a parameter, and looks for the split one under its name before it gathers it for
    the first time; until then the layer finds it, and from then on the sum.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__(layer._parameters)
        self._layer = weakref.ref(layer)  # no cycle: a model is freed when it is let go
        self._deltas: dict[str, Delta] = {}
        self._split: dict[str, bool] = {}  # by FSDP2; whether it has gathered them since

    def cast(self, name: str, delta: Delta) -> None:
        """Lets the layer find the sum of a parameter and a delta under the parameter's name."""
        self._deltas[name] = delta
        layer = self._layer()
        if layer is None:
            return
        if not self._split.get(name, True):
            layer.__dict__.pop(name, None)
        else:
            layer.__dict__[name] = AdaptedWeight(self, name, delta)  # type: ignore[arg-type]

    def lift(self, name: str) -> None:
        """Lets an assigned parameter be found itself."""
        del self._deltas[name]

    def waiting(self) -> dict[str, AdaptedWeight]:
        """What the layer will find in the place of parameters that wait for FSDP2."""
        return {
            name: AdaptedWeight(self, name, self._deltas[name])  # type: ignore[arg-type]
            for name, gathered in self._split.items()
            if name in self._deltas and not gathered
        }

    def __setitem__(self, name: str, parameter: nn.Parameter | None) -> None:
        if "_split" not in self.__dict__:  # a pickle fills the dictionary first
            super().__setitem__(name, parameter)
            return
        if name in self._split:
            self._split[name] |= not _in_parts(parameter)
        elif _in_parts(parameter) and not _in_parts(self.get(name)) and _fsdp_sets_it():
            self._split[name] = False
        super().__setitem__(name, parameter)
        if parameter is not None and name in self._deltas:
            self.cast(name, self._deltas[name])

    def __getstate__(self) -> tuple[nn.Module | None, dict[str, Delta], dict[str, bool]]:
        return self._layer(), self._deltas, self._split

    def __setstate__(self, state: tuple[nn.Module, dict[str, Delta], dict[str, bool]]) -> None:
        self._layer, self._deltas, self._split = weakref.ref(state[0]), state[1], state[2]


def _in_parts(parameter: nn.Parameter | None) -> bool:
    """Whether a parameter is a DTensor, without the import."""
    return hasattr(parameter, "_local_tensor")


def _fsdp_sets_it() -> bool:
    """Whether FSDP2 assigns: tensor parallelism does too, and never gathers what it has split."""
    frame, steps = sys._getframe(2), 0
    while frame is not None and steps < _DEEPEST:
        if str(frame.f_globals.get("__name__")).startswith("torch.distributed.fsdp"):
            return True
        frame, steps = frame.f_back, steps + 1  # type: ignore[assignment]
    return False


def hide(model: nn.Module, *, only_empty: bool = False) -> Hidden:
    """Lets layers find their base parameters again; gives what they found instead."""
    hidden = [
        (layer, name, weight)
        for _, layer in base_modules(model)
        for name, weight in seen(layer).items()
        if not (only_empty and weight.delta.parts())
    ]
    for layer, name, _ in hidden:
        if sealed.found(layer):
            sealed.uncast(layer)
            continue
        if isinstance(layer._parameters, Shadowed):
            layer._parameters.lift(name)
        # Assigning a registered parameter clears the entry that shadows it, and lets a
        # recurrent layer refresh its own list of weights.
        setattr(layer, name, layer._parameters[name])
    for layer in {layer for layer, _, _ in hidden}:
        if not seen(layer):
            layer.__dict__["_parameters"] = dict(layer._parameters)
        if isinstance(layer, nn.RNNBase):
            layer._init_flat_weights()  # its weak references to them, too
    return hidden


def show(hidden: Hidden) -> None:
    """Undoes `hide`, but for what was detached since."""
    for layer, name, weight in hidden:
        if weight.delta.parts():
            _cast(layer, name, weight.delta)


def check_shown(model: nn.Module) -> None:
    """Makes sure that layers find their adapted weights.

    Raises:
        Disabled: naming those that do not.
    """
    unseen = [
        join(path, name)
        for path, layer in base_modules(model)
        for name in deltas_of(layer)
        if name not in seen(layer)
    ]
    if unseen:
        raise Disabled(unseen)


def drop_children(model: nn.Module, *, only_empty: bool = True) -> list[tuple[nn.Module, Lora]]:
    """Removes the children that hold factors; gives them with their layers."""
    dropped = []
    for _, layer in list(base_modules(model)):
        child = layer._modules.get(CHILD)
        if not isinstance(child, Lora):
            continue
        for parameter, delta in child.deltas().items():
            if only_empty and not delta.parts():
                del child._modules[parameter]
        if not only_empty or not child.deltas():
            dropped.append((layer, child))
            del layer._modules[CHILD]
    return dropped


Users = dict[int, list[tuple[nn.Module, str]]]


def users_of(model: nn.Module) -> Users:
    """Every layer and name under which each parameter is used: more than one if it is tied."""
    users: Users = {}
    for _, layer in base_modules(model):
        for name, parameter in layer._parameters.items():
            if parameter is not None:
                users.setdefault(id(parameter), []).append((layer, name))
    return users


def put(layer: nn.Module, target: Target, part: LowRank, name: str, users: Users) -> None:
    """Gives a layer a part of a delta, and every user of the weight the sum to find."""
    if CHILD not in layer._modules:
        layer.add_module(CHILD, Lora())
    lora = layer._modules[CHILD]
    assert isinstance(lora, Lora)
    base = layer._parameters[target.parameter]
    assert base is not None
    if target.parameter not in lora.deltas():
        rows, columns = layout.size(sealed.shape(layer, target.parameter), target.layout)
        lora.add_module(target.parameter, Delta(rows, columns, target.layout))
    delta = lora.deltas()[target.parameter]
    delta.put(name + (f"[{target.block}]" if target.block else ""), part, target.first_row)
    for user, parameter in users[id(base)]:
        _cast(user, parameter, delta)


def _cast(layer: nn.Module, name: str, delta: Delta) -> None:
    """Lets a layer find the sum of a parameter and a delta under the parameter's name."""
    if not isinstance(layer._parameters, Shadowed):
        layer.__dict__["_parameters"] = Shadowed(layer)
    parameters = layer._parameters
    assert isinstance(parameters, Shadowed)
    if sealed.kind(layer):
        sealed.cast(layer, AdaptedWeight(parameters, name, delta))  # type: ignore[arg-type]
    else:
        parameters.cast(name, delta)


def seen(layer: nn.Module) -> dict[str, AdaptedWeight]:
    """The adapted weights that a layer finds, or whose deltas it adds, by parameter."""
    if weight := sealed.found(layer):
        return {"weight": weight}
    found = {name: w for name, w in layer.__dict__.items() if isinstance(w, AdaptedWeight)}
    parameters = layer._parameters
    return found | parameters.waiting() if isinstance(parameters, Shadowed) else found


def deltas_of(layer: nn.Module) -> dict[str, Delta]:
    """The deltas of an adapted layer by parameter."""
    child = layer._modules.get(CHILD)
    return child.deltas() if isinstance(child, Lora) else {}


def split_key(key: str) -> tuple[str, str | None]:
    """Adapter and block from the key of a part.

    >>> split_key("default[query]"), split_key("default")
    (('default', 'query'), ('default', None))
    """
    adapter, _, block = key.partition("[")
    return adapter, block.rstrip("]") or None
