"""Two files of ours: tensors in safetensors, everything else in JSON beside them.

Our own format is such a pair. Other formats add one for what they cannot say.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from safetensors.torch import save as save_tensors

from autolora.artifacts.adapter import Adapter, check_version
from autolora.artifacts.reading import read_file, read_json, read_tensors
from autolora.errors import AdapterFile

EXTRA = ("autolora_extra.json", "autolora_extra.safetensors")


def pair(
    adapter: Adapter, mark: str, tensors: str, beside: Mapping[str, str] | None = None
) -> dict[str, bytes]:
    """Header and tensors as two files; the header may know the digests of files beside them."""
    content = save_tensors(adapter.tensors())
    digests = {"sha256": digest(content), "beside": beside or {}}
    header = {**adapter.header(), **digests}
    return {tensors: content, mark: json.dumps(header, indent=1).encode()}


def read_pair(folder: Path, mark: str, tensors: str, most: int) -> Adapter:
    """What `pair` wrote.

    Raises:
        AdapterFile: if a file is missing, cut off or changed, or of a newer version.
    """
    header = read_json(folder / mark)
    check_version(header, str(folder / mark))  # before what a newer version may have changed
    content = read_file(folder / tensors, most)
    parsed = read_tensors(content, str(folder / tensors))
    if digest(content) != header.get("sha256"):
        raise AdapterFile(folder / tensors, "it is not the file that its header was written for")
    return Adapter.from_parts(header, parsed, str(folder))


def extra(rest: Adapter, tensors: str, content: bytes) -> dict[str, bytes]:
    """What another format's file cannot say, as a pair that belongs to this very file.

    It is always written: it carries the fingerprint of the base, for which no other format has
    a place.
    """
    return pair(rest, *EXTRA, beside={tensors: digest(content)})


def with_extra(adapter: Adapter, folder: Path, tensors: str, content: bytes, most: int) -> Adapter:
    """An adapter of another format together with what was written beside it, if anything was.

    Raises:
        AdapterFile: if the second file does not belong to the first.
    """
    if not (folder / EXTRA[0]).exists():
        return adapter
    rest = read_pair(folder, *EXTRA, most)
    if read_json(folder / EXTRA[0]).get("beside") != {tensors: digest(content)}:
        raise AdapterFile(folder / EXTRA[0], f"it was not written with the {tensors} beside it")
    return replace(
        adapter,
        targets={**adapter.targets, **rest.targets},
        factors={**adapter.factors, **rest.factors},
        scales={**adapter.scales, **rest.scales},
        full={**adapter.full, **rest.full},
        layers={**adapter.layers, **rest.layers},
        base=rest.base,
        about=rest.about,
    )


def part(adapter: Adapter, names: Iterable[str], full: Iterable[str]) -> Adapter:
    """The adapter with some of its targets and parameters only."""
    kept, trained = set(names), set(full)
    return replace(
        adapter,
        targets={n: t for n, t in adapter.targets.items() if n in kept},
        factors={n: f for n, f in adapter.factors.items() if n in kept},
        scales={n: s for n, s in adapter.scales.items() if n in kept},
        full={n: v for n, v in adapter.full.items() if n in trained},
    )


def digest(content: bytes) -> str:
    """The SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()
