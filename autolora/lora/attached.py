"""An adapter in place on a model, and finding it again."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from torch import nn

from autolora.errors import NoSuchTarget, NotAttached, NothingToTrain
from autolora.lora.allocation import Allocation
from autolora.lora.freeze import claim, is_frozen, trained_beside
from autolora.lora.low_rank import LowRank
from autolora.lora.shadow import deltas_of, split_key
from autolora.lora.targets import Target, base_modules, every_target, join, target_name
from autolora.registry import nearest


@dataclass(frozen=True)
class Attached:
    """An adapter in place on a model: its targets and their factors, by target name."""

    model: nn.Module
    name: str
    targets: Mapping[str, Target]
    factors: Mapping[str, LowRank]
    also: dict[str, nn.Parameter] = field(default_factory=dict)

    @property
    def allocation(self) -> Allocation:
        """The rank of every target."""
        return Allocation({name: part.rank for name, part in self.factors.items()})

    @property
    def scales(self) -> dict[str, float]:
        """The effective scale of every target."""
        return {name: part.scale for name, part in self.factors.items()}

    def parameters(self) -> Iterator[nn.Parameter]:
        """What is trained: the factors, then the parameters trained in full."""
        for part in self.factors.values():
            yield from part.parameters()
        yield from self.also.values()

    def also_train(self, *modules: str) -> "Attached":
        """Trains modules in full beside the deltas: a new head, say.

        Their values are saved with the adapter, and `detach` leaves them as trained.

        Raises:
            NoSuchTarget: if the model has no module of that name.
            NothingToTrain: if a module has no parameters.
        """
        found = [_parameters(self.model, module) for module in modules]
        for path, parameter in (item for named in found for item in named.items()):
            self.also[path] = parameter
            claim(self.model, path, self.name)
            parameter.requires_grad_(True)
        return self

    def requires_grad_(self, flag: bool = True) -> "Attached":
        """Whether this adapter is trained: off, it stays as it is while others learn.

        Its delta still counts; only its gradients are not formed.
        """
        for parameter in self.parameters():
            parameter.requires_grad_(flag)
        return self

    def reset(self, init: str = "kaiming") -> "Attached":
        """Starts the factors anew; see `LowRank.reset`."""
        for part in self.factors.values():
            part.reset(init)
        return self


def attached(model: nn.Module, name: str = "default") -> Attached:
    """The adapter of a name on a model that carries it, after a copy or a pickle, say.

    Raises:
        NotAttached: if the model carries no such adapter.
    """
    known = {target.name: target for target in every_target(model)}
    factors = {
        target: part
        for path, layer in base_modules(model)
        for parameter, delta in deltas_of(layer).items()
        for key, part in delta.parts().items()
        for adapter, block in (split_key(key),)
        if adapter == name and (target := target_name(path, parameter, block))
    }
    also = {
        join(path, n): p
        for path, module in base_modules(model)
        for n, p in module._parameters.items()
        if p is not None and trained_beside(module, n, name)
    }
    # An adapter of rank 0 everywhere leaves no delta that tells its name.
    if not is_frozen(model) or name not in (adapters(model) or (name,)):
        raise NotAttached(f'read under the name "{name}"')
    return Attached(model, name, {n: known[n] for n in factors}, factors, also)


def adapters(model: nn.Module) -> tuple[str, ...]:
    """The names of the adapters that have a delta on a model, in the order of attachment."""
    keys = (
        key
        for _, layer in base_modules(model)
        for delta in deltas_of(layer).values()
        for key in delta.parts()
    )
    return tuple(dict.fromkeys(split_key(key)[0] for key in keys))


def _parameters(model: nn.Module, module: str) -> dict[str, nn.Parameter]:
    """The base parameters of a module by their path in the model."""
    paths = dict(base_modules(model))
    if module not in paths:
        raise NoSuchTarget(module, nearest(module, paths))
    named = {
        join(module, inner, name): parameter
        for inner, layer in base_modules(paths[module])
        for name, parameter in layer._parameters.items()
        if parameter is not None
    }
    if not named:
        raise NothingToTrain(module)
    return named
