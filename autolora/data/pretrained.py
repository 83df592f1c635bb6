"""Pretrained transformers models and their tokenizers: by folder, GGUF file, hub id or our name."""

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from autolora.data.assets import fetch, folder
from autolora.data.gguf import converted
from autolora.data.quiet import quiet
from autolora.errors import MissingExtra, ModelUnreachable, NotPretrained

OURS: Mapping[str, Callable[[], Path]] = MappingProxyType(
    {"minilm": lambda: folder("minilm"), "smollm2": lambda: converted(fetch("smollm2"))}
)

_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
_READ = ("*.json", "*.txt", "*.model", "*.safetensors")


@dataclass(frozen=True)
class Pretrained:
    """A transformers model on this disk.

    Attributes:
        name: As people wrote it.
        folder: Where configuration, weights and tokenizer lie.
    """

    name: str
    folder: Path


@dataclass(frozen=True)
class Loaded:
    """A model as its files have it, and the modules that they lack."""

    model: nn.Module
    head: tuple[str, ...]

    def fresh(self) -> nn.Module:
        """A copy; its head is drawn from torch's generator."""
        model = copy.deepcopy(self.model)
        for name in self.head:
            for module in model.get_submodule(name).modules():
                if callable(draw := getattr(module, "reset_parameters", None)):
                    draw()
        return model


def find(name: str) -> Pretrained:
    """The model of a name, downloaded from the hub or converted from GGUF if need be.

    Raises:
        NotPretrained: if nothing of that name can be read.
        ModelUnreachable: if it is a hub id, not on this disk, and there is no network.
    """
    if name in OURS:
        return Pretrained(name, OURS[name]())
    path = Path(name).expanduser()
    if path.suffix == ".gguf" and path.is_file():
        return Pretrained(name, converted(path))
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise NotPretrained(name, "the folder holds no config.json")
        return Pretrained(name, path)
    if path.suffix == ".gguf" or not _HUB_ID.fullmatch(name):
        raise NotPretrained(name, "there is no such file or folder")
    return Pretrained(name, _from_hub(name))


def config(of: Pretrained) -> Any:
    """What the folder says of its model, as transformers reads it."""
    return _read(of, "AutoConfig")


def tokenizer(of: Pretrained) -> Any:
    """The tokenizer of the folder.

    Raises:
        NotPretrained: if the folder holds none.
    """
    return _read(of, "AutoTokenizer")


def extractor(of: Pretrained) -> Any:
    """What makes of samples what the model of the folder hears.

    Raises:
        NotPretrained: if the folder holds none.
    """
    return _read(of, "AutoFeatureExtractor")


def normalisation(of: Pretrained) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the channels that the model of the folder expects.

    Raises:
        NotPretrained: if the folder does not say.
    """
    processor = _read(of, "AutoImageProcessor")
    return tuple(processor.image_mean), tuple(processor.image_std)


def labels(of: Pretrained) -> tuple[str, ...]:
    """The classes that the folder's own head tells apart, in their order."""
    known = config(of).id2label or {}
    return tuple(str(known[number]) for number in sorted(known))


@cache
def load(of: Pretrained, auto: str, outputs: int | None = None, *, keep: bool = True) -> Loaded:
    """A model by one of transformers' Auto classes: float32, evaluation mode, kept in this process.

    Args:
        of: Where it lies.
        auto: The name of the Auto class.
        outputs: How many numbers its head gives, where that is to be chosen.
        keep: Whether a head of that size in the files is used; else it is new as well.

    Raises:
        MissingExtra: if transformers is not installed.
        NotPretrained: if the class cannot read the folder.
    """
    chosen = {} if outputs is None else {"num_labels": outputs, "ignore_mismatched_sizes": True}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, found = _read(of, auto, dtype=torch.float32, output_loading_info=True, **chosen)
    if hasattr(model.config, "use_cache"):
        model.config.use_cache = False  # keys and values of the past, which training never reads
    absent = {*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])}
    if 2 * len(absent) > len(list(model.parameters())):
        kind = type(model).__name__
        raise NotPretrained(of.name, f"its files lack most of the weights of a {kind}")
    if not keep:
        absent |= {n for n, _ in model.named_parameters() if not n.startswith(_base(model))}
    return Loaded(model.eval(), _owners(model, absent))


def _base(model: Any) -> str:
    """What the names of all parameters below the head begin with."""
    return f"{model.base_model_prefix}."


def _owners(model: nn.Module, absent: set[str]) -> tuple[str, ...]:
    """The largest modules that hold none but absent parameters."""
    owners: list[str] = []
    for name, module in model.named_modules():
        inside = {f"{name}.{each}" for each, _ in module.named_parameters()}
        taken = any(name.startswith(f"{owner}.") for owner in owners)
        if name and inside and inside <= absent and not taken:
            owners.append(name)
    return tuple(owners)


def _read(of: Pretrained, auto: str, **options: Any) -> Any:
    """What an Auto class reads from a folder; code in the folder is never run."""
    try:
        import transformers
    except ImportError as error:
        raise MissingExtra(f"the model {of.name}", "transformers", "text") from error
    try:
        with quiet():
            return getattr(transformers, auto).from_pretrained(
                of.folder, local_files_only=True, trust_remote_code=False, **options
            )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise NotPretrained(of.name, str(error).strip().partition("\n")[0]) from error


def _from_hub(name: str) -> Path:
    """The folder of a hub id in the cache of the hub's own library."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise MissingExtra(f"the model {name}", "transformers", "text") from error
    try:
        # Sub-folders hold the weights again, for other programs.
        path = snapshot_download(name, allow_patterns=list(_READ), ignore_patterns=["*/*"])
    except (OSError, ValueError) as error:
        raise ModelUnreachable(name, str(error).strip().partition("\n")[0]) from error
    return Path(path)
