"""Save an adapter into a folder; load one onto a model."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from autolora.artifacts import formats
from autolora.artifacts.adapter import Adapter
from autolora.artifacts.card import card
from autolora.artifacts.files import write_folder
from autolora.errors import NoAdapter
from autolora.lora.attach import Attached
from autolora.registry import load as load_case

_CARD = "README.md"


def save(
    adapter: nn.Module | Adapter,
    folder: str | Path,
    *,
    format: str = "autolora",  # noqa: A002
    name: str = "default",
    about: Mapping[str, Any] | None = None,
) -> tuple[str, ...]:
    """Writes an adapter with a model card; a former adapter there is replaced as a whole.

    Args:
        adapter: A model that carries one, or an adapter apart from any model.
        folder: Where to; it appears complete or not at all.
        format: "autolora", "peft", "peft_uniform" (one rank for all, for loaders that know no
            patterns), "diffusers" or "kohya".
        name: Which adapter of the model.
        about: What the card should tell: metrics, seeds, provenance.

    Returns:
        The targets that the format cannot express; they are in a second file of ours, which
        `load` reads and other loaders do not. A warning names them.

    Raises:
        UnknownName: if there is no such format.
        FolderTaken: if the folder holds something else.
        StorageUnavailable: if the disk is full or the folder cannot be written.
    """
    case: formats.Format = load_case(formats, format)
    if isinstance(adapter, nn.Module):
        adapter = Adapter.capture(adapter, name, about)
    written = case.write(adapter)
    files = {**written.files, _CARD: card(adapter, format, written.beside).encode()}
    known = formats.all_formats().values()
    ours = frozenset({_CARD, *(name for case in known for name in case.FILES)})
    write_folder(Path(folder), files, ours=ours, marks=frozenset(case.MARK for case in known))
    if written.beside:
        warnings.warn(
            f"{format} cannot express {', '.join(written.beside)}; kept in a second file in "
            f"{folder} that autolora.load reads and other loaders do not",
            stacklevel=2,
        )
    return written.beside


def read(folder: str | Path, model: nn.Module) -> Adapter:
    """The adapter in a folder, of whatever format; the model is not touched.

    Raises:
        NoAdapter: if there is none.
        AdapterFile: if a file is cut off, changed or holds something else.
    """
    for case in formats.all_formats().values():
        if (Path(folder) / case.MARK).exists():
            return case.read(Path(folder), model)
    raise NoAdapter(folder)


def load(
    model: nn.Module, folder: str | Path, *, name: str = "default", check: bool = True
) -> Attached:
    """Attaches the adapter of a folder; if anything is wrong the model is not touched.

    Args:
        model: The base that the adapter was trained on.
        folder: One that `save` or PEFT wrote.
        name: The name it gets on the model.
        check: Whether to compare the model with the fingerprint of the base.

    Raises:
        NoAdapter: if the folder holds none.
        AdapterFile: if a file is cut off, changed or holds something else.
        OtherBase: if the model is another.
    """
    return read(folder, model).attach_to(model, name=name, check=check)
