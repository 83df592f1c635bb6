"""Targets: the matrices of a model that can carry a delta."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import ParametrizationList

from autolora.lora import layout, packed, quantised, sealed, views
from autolora.lora.delta import Lora
from autolora.lora.layout import Layout
from autolora.lora.low_rank import LowRank
from autolora.lora.views import Block


@dataclass(frozen=True)
class Target:
    """One matrix that can carry a delta.

    A parameter is seen as a matrix: mostly `flatten(1)`, so that rows are its first dimension;
    `layout` tells. A packed parameter (q, k and v in one; the gates of an LSTM; the experts of a
    mixture) holds several targets, each a named block of rows.

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
    layout: Layout = "flat"

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
        """The first number in the layer's path, or else of its parameter; 0 without one.

        `features.7.conv.0` lies at 7, `encoder_layer_3.mlp.0` at 3, `lstm.weight_ih_l2` at 2.
        """
        number = re.search(r"(?<![^._])\d+(?![^.])", self.layer)
        number = number or re.search(r"(?<=_l)\d+", self.parameter)
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
    return tuple(target for use in _allowed(model) for target in _split(use))


def every_target(model: nn.Module) -> tuple[Target, ...]:
    """The targets, and beside them each packed parameter as a whole.

    A delta over all of q, k and v shares one `down` among them, as libraries without blocks have
    it. It may stand beside deltas of the blocks; they add up.

    >>> [t.name for t in every_target(nn.GRUCell(8, 4))][-1]
    'weight_hh'
    """
    uses = list(_allowed(model))
    return (*targets(model), *(target for use in uses for target in _whole(use)))


def _allowed(model: nn.Module) -> Iterator["Use"]:
    refused = {id(where[-1]) for where in _uses(model) if _refusal(*where)}
    return (use for use in matrices(model) if id(use[-1]) not in refused)


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
    """The modules of the base by path, in the order of `named_modules`; no factors of adapters."""
    seen: set[int] = set()
    waiting = [("", model)]
    while waiting:
        path, module = waiting.pop()
        if id(module) in seen or isinstance(module, (Lora, LowRank)):
            continue
        seen.add(id(module))
        yield path, module
        children = [(join(path, name), child) for name, child in module._modules.items()]
        waiting += reversed([(name, child) for name, child in children if child is not None])


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


def _split(use: Use) -> Iterator[Target]:
    """The targets of a parameter: one, or one for each of its blocks."""
    path, layer, name, _ = use
    blocks = views.blocks(layer, name)
    if len(blocks) == 1 and blocks[0].name is None:
        columns = layout.size(sealed.shape(layer, name), blocks[0].layout)[1]
        blocks = packed.unpack(path, layer, name, blocks[0], columns)
    return (_target(use, block) for block in blocks)


def _whole(use: Use) -> Iterator[Target]:
    """A packed parameter as a single target: one delta over all of its blocks."""
    found = tuple(_split(use))
    if len(found) > 1:
        rows = layout.size(sealed.shape(*use[1:3]), found[0].layout)[0]
        yield _target(use, Block(None, "packed", 0, rows, found[0].layout))


def _target(use: Use, block: Block) -> Target:
    path, layer, name, _ = use
    return Target(
        name=target_name(path, name, block.name),
        layer=path,
        parameter=name,
        block=block.name,
        kind=block.kind,
        rows=block.rows,
        columns=layout.size(sealed.shape(layer, name), block.layout)[1],
        first_row=block.first_row,
        layout=block.layout,
    )


def _refusal(path: str, layer: nn.Module, name: str, parameter: nn.Parameter) -> Refusal | None:
    if isinstance(layer, ParametrizationList):
        owner, _, weight = f".{path}".rpartition(".parametrizations.")
        remedy = "bake it first: torch.nn.utils.parametrize.remove_parametrizations(layer, name)"
        return Refusal(join(owner[1:], weight), "it is parametrised already", remedy)
    if found := sealed.obstacle(layer, parameter) or quantised.obstacle(parameter):
        return Refusal(join(path, name), *found)
    reasons = (
        (
            is_lazy(parameter),
            "its shape is not known yet",
            "run one batch through the model first",
        ),
        (
            not (is_lazy(parameter) or parameter.is_floating_point() or sealed.kind(layer)),
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
