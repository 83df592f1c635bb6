"""What attaching changes beside the weights, noted where it is changed, so that it is undone.

The note lies in each module's own dictionary: it travels with copies and pickles of any part.
"""

from torch import nn

from autolora.lora import views
from autolora.lora.delta import Lora
from autolora.lora.targets import CHILD, base_modules

_TRAINABLE, _SETTINGS = "_trainable_before_lora", "_settings_before_lora"
_TRAINED_BY = "_trained_by_lora"


def freeze(model: nn.Module) -> None:
    """Freezes every base parameter, once."""
    loose = [module for _, module in base_modules(model) if _TRAINABLE not in module.__dict__]
    for module in loose:  # all are noted before any is frozen: a tied parameter has two owners
        module.__dict__[_TRAINABLE] = tuple(n for n, p in _own(module) if p.requires_grad)
    for module in loose:
        for _, parameter in _own(module):
            parameter.requires_grad_(False)


def thaw(model: nn.Module) -> None:
    """Gives every base parameter back the flag it had."""
    for _, module in base_modules(model):
        module.__dict__.pop(_TRAINED_BY, None)
        if (trainable := module.__dict__.pop(_TRAINABLE, None)) is not None:
            for name, parameter in _own(module):
                parameter.requires_grad_(name in trainable)


def claim(model: nn.Module, path: str, adapter: str) -> None:
    """Notes that an adapter trains a parameter in full beside its deltas."""
    owner, _, name = path.rpartition(".")
    module = model.get_submodule(owner)
    module.__dict__[_TRAINED_BY] = {**module.__dict__.get(_TRAINED_BY, {}), name: adapter}


def trained_beside(module: nn.Module, name: str, adapter: str) -> bool:
    """Whether a parameter belongs to an adapter: claimed, or trained and claimed by none."""
    owner = module.__dict__.get(_TRAINED_BY, {}).get(name)
    parameter = module._parameters[name]
    trained = parameter is not None and parameter.requires_grad
    return owner == adapter or (owner is None and trained)


def is_frozen(model: nn.Module) -> bool:
    """Whether `freeze` has passed over the model or a part of it."""
    return any(_TRAINABLE in module.__dict__ for _, module in base_modules(model))


def set_surroundings(model: nn.Module) -> None:
    """Applies the settings that views ask for around adapted layers."""
    for module in model.modules():
        for setting in views.settings():
            if not setting.concerns(module) or _SETTINGS in module.__dict__:
                continue
            inside = (getattr(inner, CHILD, None) for inner in module.modules())
            if setting.everywhere or any(isinstance(child, Lora) for child in inside):
                module.__dict__[_SETTINGS] = {setting.attribute: getattr(module, setting.attribute)}
                setattr(module, setting.attribute, setting.value)


def restore_surroundings(model: nn.Module) -> None:
    """Gives enclosing modules back the settings they had."""
    for module in model.modules():
        for attribute, value in module.__dict__.pop(_SETTINGS, {}).items():
            setattr(module, attribute, value)


def _own(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, p) for name, p in module._parameters.items() if p is not None]
