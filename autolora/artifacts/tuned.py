"""The weights of a fine-tune, matched with the base that they were trained from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from autolora.artifacts.checkpoint import read_checkpoint
from autolora.artifacts.fingerprint import base_parameters
from autolora.errors import NotAFineTune

FineTune = nn.Module | Mapping[str, Tensor] | str | Path


@dataclass(frozen=True)
class Tuned:
    """The fine-tuned value of every parameter of a base, on the CPU; a tied one once.

    `left_out` names what differs and is no floating-point parameter of the base.
    """

    parameters: Mapping[str, Tensor]
    left_out: tuple[str, ...]

    def differs(self, name: str, before: Tensor) -> bool:
        """Whether a parameter is another than before."""
        return name in self.parameters and _differ(self.parameters[name], before)


def tuned(base: nn.Module, finetuned: FineTune) -> Tuned:
    """The weights of a fine-tune by the names of a base.

    Raises:
        CheckpointFile: if a file cannot be read.
        NotAFineTune: if names, shapes or ties are not those of the base.
    """
    state = _state(finetuned)
    names = _names(base)
    _check_known(base, names, state)
    found = {name: _value(also, state) for name, also in names.items()}
    before = base_parameters(base)
    for name, value in found.items():
        _check_alike(name, before[name], value)
    whole = [n for n in found if not before[n].is_floating_point()]
    left_out = [n for n in whole if _differ(found[n], before[n])]
    buffers = {n: b for n, b in base.named_buffers() if n in state}
    left_out += [n for n, buffer in buffers.items() if _differ(state[n], buffer)]
    return Tuned({n: v for n, v in found.items() if n not in whole}, tuple(left_out))


def _state(finetuned: FineTune) -> Mapping[str, Tensor]:
    if isinstance(finetuned, nn.Module):
        return {n: v for n, v in finetuned.state_dict().items() if isinstance(v, Tensor)}
    return finetuned if isinstance(finetuned, Mapping) else read_checkpoint(finetuned)


def _names(base: nn.Module) -> dict[str, list[str]]:
    """Every name of each distinct parameter, by the name that targets have."""
    users: dict[int, list[str]] = {}
    for name, parameter in base.named_parameters(remove_duplicate=False):
        users.setdefault(id(parameter), []).append(name)
    return {name: users[id(parameter)] for name, parameter in base_parameters(base).items()}


def _check_known(
    base: nn.Module, names: Mapping[str, list[str]], state: Mapping[str, Tensor]
) -> None:
    """Whole numbers that only a checkpoint has are positions and counters of older libraries."""
    known = {*base.state_dict(), *(name for also in names.values() for name in also)}
    for name, value in state.items():
        if name not in known and value.is_floating_point():
            raise NotAFineTune(f"they hold {name}, which the base has not")


def _value(names: list[str], state: Mapping[str, Tensor]) -> Tensor:
    """The value under all names of a parameter; files may hold a tied one once."""
    there = [name for name in names if name in state]
    if not there:
        raise NotAFineTune(f"they lack {names[0]}")
    first = state[there[0]].detach().cpu()
    for name in there[1:]:
        if _differ(state[name], first):
            raise NotAFineTune(f"{there[0]} and {name} are tied in the base and differ in them")
    return first


def _check_alike(name: str, before: Tensor, value: Tensor) -> None:
    if value.shape != before.shape:
        shapes = f"{tuple(before.shape)} in the base and {tuple(value.shape)} in them"
        raise NotAFineTune(f"{name} is {shapes}")
    if before.is_floating_point() and not value.is_floating_point():
        raise NotAFineTune(f"{name} is {value.dtype} in them, no floating-point numbers")


def _differ(value: Tensor, before: Tensor) -> bool:
    value, before = value.detach().cpu(), before.detach().cpu()
    wide = torch.promote_types(value.dtype, before.dtype)
    return not torch.equal(value.to(wide), before.to(wide))
