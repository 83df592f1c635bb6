"""Targets: the matrices of a model that can carry a delta."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import ParametrizationList

from autolora.lora import views
from autolora.lora.low_rank import Lora


@dataclass(frozen=True)
class Target:
    """One matrix that can carry a delta.

    A parameter is seen as the matrix `flatten(1)`: rows are its first dimension. A packed
    parameter (q, k and v in one; the gates of an LSTM) holds several targets, each a named
    block of rows.

    Units: `cost` counts parameters per rank.
    """

    name: str
    layer: str
    parameter: str
    block: str | None
    kind: str
    rows: int
    columns: int
    first_row: int = 0

    @property
    def cost(self) -> int:
        """Parameters that one rank costs: rows + columns."""
        return self.rows + self.columns

    @property
    def max_rank(self) -> int:
        """The highest rank the matrix can have."""
        return min(self.rows, self.columns)

    @property
    def depth(self) -> int:
        """The first number in the layer's path, 0 without one: `features.7.conv.0` lies at 7."""
        number = re.search(r"(?<![^.])\d+(?![^.])", self.layer)
        return int(number[0]) if number else 0


@dataclass(frozen=True)
class Refusal:
    """A weight that cannot be adapted as it is, why, and what would help."""

    name: str
    reason: str
    remedy: str


CHILD = "lora"  # the name under which an adapted layer keeps its factors
_FREE = (Lora, type(None))

_CONTAINERS = (
    nn.Sequential,
    nn.ModuleList,
    nn.ModuleDict,
    nn.ParameterList,
    nn.ParameterDict,
)


def targets(model: nn.Module) -> tuple[Target, ...]:
    """Every matrix of a model that can carry a delta, in the order of its modules.

    A tied or shared weight is one target, under the name met first.

    >>> [t.name for t in targets(nn.Sequential(nn.Linear(8, 4)))]
    ['0.weight']
    """
    refused = {id(where[-1]) for where in _uses(model) if _refusal(*where)}
    return tuple(
        target
        for path, layer, name, parameter in matrices(model)
        if id(parameter) not in refused
        for target in _split(path, layer, name, parameter)
    )


def refusals(model: nn.Module) -> tuple[Refusal, ...]:
    """The weights that would be targets but cannot be adapted as they are, and why."""
    found = (_refusal(*where) for where in _uses(model))
    return tuple({refusal.name: refusal for refusal in found if refusal}.values())


Use = tuple[str, nn.Module, str, nn.Parameter]


def matrices(model: nn.Module) -> Iterator[Use]:
    """Each distinct base parameter of two dimensions or more: layer path, layer, name, value."""
    seen: set[int] = set()
    for use in _uses(model):
        if id(use[-1]) not in seen:
            seen.add(id(use[-1]))
            yield use


def base_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules of the base by path: all but the factors of adapters."""
    adapters = (module for module in model.modules() if isinstance(module, Lora))
    factors = {id(inner) for adapter in adapters for inner in adapter.modules()}
    for path, module in model.named_modules():
        if id(module) not in factors:
            yield path, module


def join(*parts: str) -> str:
    """A dotted path; the empty path of a model itself adds no dot.

    >>> join("", "weight"), join("encoder", "weight")
    ('weight', 'encoder.weight')
    """
    return ".".join(part for part in parts if part)


def target_name(path: str, parameter: str, block: str | None) -> str:
    """`encoder.layers.0.self_attn.in_proj_weight[query]`."""
    return join(path, parameter) + (f"[{block}]" if block else "")


def _uses(model: nn.Module) -> Iterator[Use]:
    """Every layer under every name that uses a matrix: more than one if it is tied."""
    for path, layer in base_modules(model):
        for name, parameter in layer._parameters.items():
            if parameter is not None and (is_lazy(parameter) or _is_matrix(parameter)):
                yield path, layer, name, parameter


def _is_matrix(parameter: nn.Parameter) -> bool:
    return parameter.ndim >= 2 and parameter.numel() > 0


def _split(path: str, layer: nn.Module, name: str, parameter: nn.Parameter) -> Iterator[Target]:
    for block in views.blocks(layer, name):
        yield Target(
            name=target_name(path, name, block.name),
            layer=path,
            parameter=name,
            block=block.name,
            kind=block.kind,
            rows=block.rows,
            columns=parameter.numel() // len(parameter),
            first_row=block.first_row,
        )


def _refusal(path: str, layer: nn.Module, name: str, parameter: nn.Parameter) -> Refusal | None:
    if isinstance(layer, ParametrizationList):
        owner, _, weight = f".{path}".rpartition(".parametrizations.")
        remedy = "bake it first: torch.nn.utils.parametrize.remove_parametrizations(layer, name)"
        return Refusal(join(owner[1:], weight), "it is parametrised already", remedy)
    reasons = (
        (
            is_lazy(parameter),
            "its shape is not known yet",
            "run one batch through the model first",
        ),
        (
            not is_lazy(parameter) and not parameter.is_floating_point(),
            "its values are no floating-point numbers",
            "dequantise it first",
        ),
        (
            str(parameter.dtype).startswith("torch.float8"),
            f"torch does no sums in {str(parameter.dtype).removeprefix('torch.')}",
            "dequantise it first",
        ),
        (
            _hooked(layer, name) is not None,
            "a hook computes it (weight_norm, spectral_norm or pruning)",
            "bake it first: torch.nn.utils.remove_weight_norm, remove_spectral_norm, prune.remove",
        ),
        (
            getattr(layer, "max_norm", None) is not None,
            "max_norm changes the table in place at each look-up",
            "set max_norm to None",
        ),
        (
            isinstance(layer, _CONTAINERS) or not isinstance(getattr(layer, CHILD, None), _FREE),
            "its layer has no room for a child called lora",
            "hold the parameter in a plain module without that name",
        ),
    )
    for applies, reason, remedy in reasons:
        if applies:
            return Refusal(join(path, _hooked(layer, name) or name), reason, remedy)
    return None


def _hooked(layer: nn.Module, name: str) -> str | None:
    """The weight that a weight_norm, spectral_norm or pruning computes from this parameter."""
    hooks = layer._forward_pre_hooks.values()
    hooked = {getattr(h, "_tensor_name", None) or getattr(h, "name", None) for h in hooks}
    return next((h for h in hooked if h and name in (f"{h}_g", f"{h}_v", f"{h}_orig")), None)
