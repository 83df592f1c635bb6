"""GGUF files, made into folders that open in a moment."""

import hashlib
import shutil
import struct
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from autolora.artifacts.files import disk_errors
from autolora.data.assets import cache_folder
from autolora.data.quiet import quiet
from autolora.errors import MissingExtra, NotPretrained

# What readers raise at a file that is cut off, not GGUF, or of a model they do not know.
_UNREADABLE = (OSError, ValueError, KeyError, IndexError, NotImplementedError, struct.error)


def converted(path: Path) -> Path:
    """The folder of a GGUF file in the cache: weights in float32, configuration and tokenizer.

    It is made once, which takes long, and named by the digest of the file. The weights are what
    the few bits of the file left of the published ones.

    Raises:
        MissingExtra: if transformers, accelerate or gguf is not installed.
        NotPretrained: if transformers cannot read the file.
        StorageUnavailable: if the cache cannot be written.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    folder = cache_folder() / "prepared" / f"gguf-{digest[:16]}"
    if not folder.is_dir():
        with disk_errors(folder.parent):
            folder.parent.mkdir(parents=True, exist_ok=True)
            beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            _convert(path, beside)
            _put(beside, folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return folder


def _convert(path: Path, folder: Path) -> None:
    try:
        # Transformers reads the file with both, and says less clearly that one is not there.
        import_module("accelerate")
        import_module("gguf")
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise MissingExtra(f"the model {path.name}", "transformers with gguf", "text") from error
    place = {"gguf_file": path.name, "local_files_only": True}
    with quiet():
        try:
            tokenizer = AutoTokenizer.from_pretrained(path.parent, **place)
            model: Any = AutoModelForCausalLM.from_pretrained(
                path.parent, dtype=torch.float32, **place
            )
        except _UNREADABLE as error:
            raise NotPretrained(str(path), str(error).partition("\n")[0]) from error
        # Read, the weights are plain numbers again.
        model.hf_quantizer.remove_quantization_config(model)
        with disk_errors(folder):
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)


def _put(beside: Path, folder: Path) -> None:
    """Puts the whole folder in place, if another process was not quicker."""
    beside.chmod(0o755)
    try:
        beside.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
