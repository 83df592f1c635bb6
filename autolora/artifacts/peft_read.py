"""What a file of PEFT's says, checked against a model; what we could not repeat is refused."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from autolora.artifacts.adapter import Adapter
from autolora.artifacts.describe import describe
from autolora.artifacts.factors import Pair, parted
from autolora.artifacts.fingerprint import base_parameters
from autolora.artifacts.pairs import with_extra
from autolora.artifacts.peft_config import Scale, check_config, scales
from autolora.artifacts.places import Place, in_model, same_in_peft
from autolora.artifacts.reading import only_floats, read_file, read_json, read_tensors, room
from autolora.errors import AdapterFile, NoSuchTarget, NotPlainLora, OtherBase, WrongShape
from autolora.lora.sealed import shape as shape_of
from autolora.lora.targets import Target, targets
from autolora.registry import nearest

PREFIX = "base_model.model."

_HALF = re.compile(r"(.+)\.lora_(A|B|E|embedding_A|embedding_B)(?:\.weight)?")
_OTHER = re.compile(r"(.+)\.(lora_B\.bias|lora_magnitude_vector.*|token_adapter\..*)")

Halves = dict[str, dict[str, Tensor]]


def read_folder(folder: Path, model: nn.Module, mark: str, tensors: str) -> Adapter:
    """The adapter of a folder that PEFT or we wrote.

    Raises:
        AdapterFile: if a file is cut off, or means something that we cannot repeat.
        NotPlainLora: if it is another method's.
        NoSuchTarget, WrongShape: if the model lacks a layer or has it in another size.
    """
    config, most = read_json(folder / mark), room(model)
    check_config(config, folder / mark)
    content = read_file(folder / tensors, most)
    source = str(folder / tensors)
    by, names = scales(config, source), _names(config, source)
    adapter = parse(read_tensors(content, source), model, source, scale=by, names=names)
    return with_extra(adapter, folder, tensors, content, most)


def parse(
    tensors: Mapping[str, Tensor],
    model: nn.Module,
    source: str,
    *,
    scale: Scale,
    names: Sequence[str] = (),
) -> Adapter:
    """The adapter that tensors under PEFT's keys make on a model.

    Args:
        tensors: The content of a file.
        model: What it is for.
        source: What errors call the file.
        scale: What multiplies the product of a name and a rank.
        names: The parameters that PEFT was told to adapt as such.

    Raises:
        AdapterFile: if a half is missing or PEFT adapts a layer otherwise than we do.
        NoSuchTarget, WrongShape: if the model lacks a layer or has it in another size.
    """
    halves, full = _sorted_out(tensors, source)
    special = in_model(model, names)
    places = {key: special.get(key, Place(key, key, key, "weight")) for key in halves}
    found_at = _targets_at(model, places.values(), source)
    factors: dict[Target, Pair] = {}
    factored: dict[str, float] = {}
    for key, half in halves.items():
        if "E" in half and not half["E"].numel():
            continue  # a layer that AdaLoRA has given up
        place = places[key]
        found = found_at[place]
        pair = _pair(model, place, half, source)
        parts = parted(_fitting(model, place, found[0], pair), found)
        factors |= parts
        rank = pair[0].shape[-1]
        factor = scale(place.name, rank) * place.times
        factored |= dict.fromkeys((target.name for target in parts), factor)
    trained = {n: value for n, value in full.items() if not _already_there(model, n, value)}
    only_floats(trained, source)
    return Adapter(
        targets={target.name: target for target in factors},
        factors={target.name: pair for target, pair in factors.items()},
        scales=factored,
        full=trained,
        layers=describe(model, {t.layer for t in factors}),
        base=None,
    )


def _names(config: Mapping[str, Any], source: object) -> list[str]:
    names = config.get("target_parameters") or []
    if not isinstance(names, list) or not all(isinstance(n, str) and n for n in names):
        raise AdapterFile(source, "its target_parameters are no list of names")
    return names


def _sorted_out(tensors: Mapping[str, Tensor], source: str) -> tuple[Halves, dict[str, Tensor]]:
    """The halves of each layer, and what was trained in full."""
    halves: Halves = {}
    full = {}
    for key, value in tensors.items():
        name = key.removeprefix(PREFIX)
        if _OTHER.fullmatch(name):
            raise NotPlainLora(source, f"it holds {key}")
        if half := _HALF.fullmatch(name):
            halves.setdefault(half[1], {})[half[2]] = value
        else:
            full[name] = value
    return halves, full


def _targets_at(
    model: nn.Module, places: Collection[Place], source: str
) -> dict[Place, list[Target]]:
    """The targets of each place, after a check that PEFT's delta there is one of ours."""
    known: dict[tuple[str, str], list[Target]] = {}
    for target in targets(model):
        known.setdefault((target.layer, target.parameter), []).append(target)
    modules = dict(model.named_modules())
    if lost := next((p.layer for p in places if p.layer not in modules), None):
        raise NoSuchTarget(lost, nearest(lost, {layer for layer, _ in known}))
    layers = describe(model, {place.layer for place in places})
    found = {place: known.get((place.layer, place.parameter), []) for place in places}
    for place, here in found.items():
        layer = layers[place.layer]
        alike = same_in_peft(layer) and not layer["tied"]
        if not here or not alike or place.stacked != (here[0].layout == "stacked"):
            kind = type(modules[place.layer]).__name__
            raise AdapterFile(
                source, f"it adapts {place.layer}, a {kind} that PEFT adapts otherwise than we"
            )
    return found


def _pair(model: nn.Module, place: Place, half: Mapping[str, Tensor], source: str) -> Pair:
    """B and A as PEFT multiplies them, one for each copy.

    Shapes: B (copies, rows, rank); A (copies, rank, *columns).
    """
    only_floats({f"a factor of {place.key}": value for value in half.values()}, source)
    table = isinstance(model.get_submodule(place.layer), nn.Embedding)
    wanted = {"embedding_A", "embedding_B"} if table else {"A", "B"}
    if set(half) - {"E"} != wanted:
        raise AdapterFile(
            source, f"{place.layer} has {', '.join(sorted(half))} without the other half"
        )
    # An embedding's rows are its tokens, hence the swap.
    up = half["embedding_A"].T if table and half["embedding_A"].ndim == 2 else half[max(wanted)]
    down = half["embedding_B"].T if table and half["embedding_B"].ndim == 2 else half[min(wanted)]
    rank, rest = divmod(len(down) if down.ndim > 1 else 0, place.copies)
    if rest or not rank or up.shape != (len(up), len(down), *(1,) * (up.ndim - 2)):
        raise AdapterFile(source, f"the halves of {place.layer} have ranks that do not fit")
    if "E" in half:  # AdaLoRA's singular values
        if half["E"].shape != (rank, 1):
            raise AdapterFile(source, f"the singular values of {place.layer} do not fit its rank")
        shape = model.get_submodule(place.layer).get_parameter(place.parameter).shape
        down = down * half["E"]
        down = down.view(rank, *shape[1:]) if down[0].numel() == shape[1:].numel() else down
    b = up.flatten(1).view(len(up), rank, place.copies).permute(2, 0, 1)
    return b, down.reshape(place.copies, rank, *down.shape[1:])


def _fitting(model: nn.Module, place: Place, target: Target, pair: Pair) -> Pair:
    """Our factors from PEFT's, after a check against the parameter.

    Shapes: up (copies, rows, rank); down (copies, rank, columns).
    """
    shape = shape_of(model.get_submodule(place.layer), place.parameter)
    shape = shape[1:] if target.layout == "stacked" else shape
    (b, a), transposed = pair, target.layout == "transposed"
    mine = (b.shape[1], *a.shape[2:])
    theirs = shape[::-1] if place.swapped or (transposed and not place.whole) else shape
    if mine != theirs:
        raise WrongShape(target.name, mine, theirs)
    if place.swapped or (transposed and place.whole):
        return a.mT, b.mT
    return b, a.flatten(2)


def _already_there(model: nn.Module, name: str, value: Tensor) -> bool:
    """Whether a value is a copy of what the model holds and does not train.

    PEFT adds the whole table of an adapted embedding and the buffers of a trained head.
    """
    plain = name.replace(".base_layer.", ".")
    parameters = base_parameters(model)
    if name in parameters:
        return False
    there = parameters.get(plain, dict(model.named_buffers()).get(plain))
    if there is None:
        raise NoSuchTarget(name, nearest(name, parameters))
    if not torch.equal(there.detach().to(value), value):
        raise OtherBase(f"{plain} has other values")
    return True
