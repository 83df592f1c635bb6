"""Extract: the adapter of low rank that comes nearest to a full fine-tune."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autolora.artifacts.adapter import Adapter
from autolora.artifacts.describe import describe
from autolora.artifacts.fingerprint import Fingerprint, base_parameters
from autolora.artifacts.resize import factored, finite
from autolora.artifacts.size import Size, size
from autolora.artifacts.tuned import FineTune, Tuned, tuned
from autolora.errors import CarriesAdapter, NoSuchTarget
from autolora.lora import layout
from autolora.lora.attach import adapters
from autolora.lora.factors import Spectrum, of_matrix
from autolora.lora.select import select as selected
from autolora.lora.targets import Target, join, targets
from autolora.registry import nearest


@dataclass(frozen=True)
class Extracted:
    """An adapter, what it lost of the deltas, and what changed and is no part of it at all.

    Errors are relative, in the Frobenius norm: ‖delta - (fine-tuned - base)‖ / ‖fine-tuned -
    base‖, for each target that changed, and for all of them together; `left_out` is not counted.
    It names targets that were not selected, parameters that were not to be kept in full, and
    buffers, for which an adapter has no place: the running means of a batch norm, say.
    """

    adapter: Adapter
    errors: Mapping[str, float]
    error: float
    left_out: tuple[str, ...]


def extract(  # noqa: PLR0913 — one size of three
    base: nn.Module,
    finetuned: FineTune,
    *,
    rank: int | None = None,
    parameters: int | None = None,
    energy: float | None = None,
    select: Iterable[str] = ("*",),
    heads: Iterable[str] = (),
    full: bool = True,
) -> Extracted:
    """Makes an adapter of a full fine-tune: at every target the best delta of a low rank.

    The delta of a target is fine-tuned minus base, in float64; its singular values are kept by
    `rank`, `parameters` or `energy`, exactly one of them, as `autolora.resize` does. A target that
    did not change is not adapted; a tied weight is one target. A parameter that changed and is no
    target (a bias, a norm) becomes one that the adapter holds in full: without it the result
    would not be the fine-tune. A target costs rows · columns · min(rows, columns) operations.

    Args:
        base: The model that was fine-tuned; it is left as it is.
        finetuned: The model after that; or its state_dict; or a safetensors file, or one that
            `torch.save` wrote.
        rank: The highest rank of every target.
        parameters: How many parameters all factors together may hold.
        energy: The share of squared singular values that each target keeps.
        select: Patterns of the targets to adapt, as in `autolora.select`.
        heads: Modules that the adapter holds in full, targets or not: a head that each build of
            the base draws anew, say.
        full: Whether to keep parameters that are no targets; otherwise they are left out.

    Raises:
        NotOneSize: if not exactly one of the three is given.
        OutOfRange: if its number cannot be.
        NothingFits: if the budget holds no rank of any target.
        CarriesAdapter: if one of the models does.
        CheckpointFile: if the file cannot be read.
        NotAFineTune: if names, shapes or ties are not those of the base.
        NoSuchTarget: if a pattern matches nothing, or there is no module of a head's name.
        NotFinite: if a weight is not finite.

    Source: Eckart and Young 1936; Hu et al. 2021, section 4.1, for why the rank can be low.

    >>> base, finetuned = nn.Linear(8, 4), nn.Linear(8, 4)
    >>> found = extract(base, finetuned, rank=4)
    >>> found.adapter.allocation, sorted(found.adapter.full), round(found.error, 9)
    (Allocation({'weight': 4}), ['bias'], 0.0)
    """
    wanted = size(rank=rank, parameters=parameters, energy=energy)
    _check_plain(base, finetuned)
    found, owned = tuned(base, finetuned), _owned(base, heads)
    known = [target for target in targets(base) if _parameter(target) not in owned]
    asked = selected(targets(base), select)
    chosen = {target.name: target for target in asked if _parameter(target) not in owned}
    spectra = dict(_spectra(base, found, chosen, wanted))
    kept = {name: _value(found, name) for name in owned}
    rest = {name: _value(found, name) for name in _rest(base, found, known) if name not in owned}
    frame = _frame(base, [chosen[n] for n in spectra], {**kept, **rest} if full else kept)
    made = factored(frame, spectra, _types(base, [chosen[n] for n in spectra]), wanted)
    unasked = [t.name for t in known if t.name not in chosen and _delta(base, found, t).any()]
    left_out = (*unasked, *(() if full else rest), *found.left_out)
    return Extracted(made.adapter, made.errors, made.error, left_out)


def _check_plain(base: nn.Module, finetuned: FineTune) -> None:
    """Neither model carries an adapter."""
    for which, model in (("base", base), ("fine-tuned", finetuned)):
        if isinstance(model, nn.Module) and adapters(model):
            raise CarriesAdapter(which)


def _types(base: nn.Module, chosen: Iterable[Target]) -> dict[str, torch.dtype]:
    """The type of number that each target's parameter has in the base."""
    values = base_parameters(base)
    return {target.name: values[_parameter(target)].dtype for target in chosen}


def matrix(value: Tensor, target: Target) -> Tensor:
    """The rows of a parameter's matrix that a target is.

    Shapes: (rows, columns) of the target.
    """
    rows = slice(target.first_row, target.first_row + target.rows)
    return layout.matrix(value, target.layout)[rows]


def _parameter(target: Target) -> str:
    return join(target.layer, target.parameter)


@torch.no_grad()
def _delta(base: nn.Module, found: Tuned, target: Target) -> Tensor:
    before = base.get_submodule(target.layer)._parameters[target.parameter]  # noqa: SLF001
    assert before is not None
    after = matrix(found.parameters[_parameter(target)], target)
    return after.double() - matrix(before.detach().cpu(), target).double()


def _spectra(
    base: nn.Module, found: Tuned, chosen: Mapping[str, Target], wanted: Size
) -> Iterator[tuple[str, Spectrum]]:
    """Of every target that changed, one after the other."""
    for name, target in chosen.items():
        delta = finite(_delta(base, found, target), name)
        if delta.any():
            spectrum = of_matrix(delta)
            yield name, spectrum.first(wanted.most(spectrum))


def _rest(base: nn.Module, found: Tuned, known: Iterable[Target]) -> list[str]:
    """The parameters that changed and are no targets."""
    covered = {_parameter(target) for target in known}
    every = base_parameters(base).items()
    return [name for name, before in every if name not in covered and found.differs(name, before)]


def _owned(base: nn.Module, heads: Iterable[str]) -> list[str]:
    """The floating-point parameters of some modules."""
    paths = dict(base.named_modules())
    owned: set[int] = set()
    for head in heads:
        if head not in paths:
            raise NoSuchTarget(head, nearest(head, paths))
        owned |= {id(parameter) for parameter in paths[head].parameters()}
    named = base_parameters(base).items()
    return [name for name, p in named if id(p) in owned and p.is_floating_point()]


def _value(found: Tuned, name: str) -> Tensor:
    return finite(found.parameters[name], name).clone()


def _frame(base: nn.Module, changed: Iterable[Target], full: Mapping[str, Tensor]) -> Adapter:
    """Everything but the deltas."""
    named = {target.name: target for target in changed}
    paths = {t.layer for t in named.values()} | {n.rpartition(".")[0] for n in full}
    return Adapter(
        targets=named,
        factors={},
        scales={},
        full=full,
        layers=describe(base, paths),
        base=Fingerprint.of(base, trained=full),
        about={"title": "A LoRA adapter extracted from a full fine-tune"},
    )
