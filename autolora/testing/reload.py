"""The law of files: what is saved here is loaded exactly, and answers alike, in a fresh process.

The factors are compared bit for bit, the answers to 1e-12: a kernel of the processor may round the
last bit by where in memory a matrix lies.

Folder in, folder out: `python -m autolora.testing.reload FOLDER MODULE…` loads for each example
of the modules the adapter that `save_all` wrote, and writes what it answers.
"""

import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from autolora.artifacts.folder import load, save
from autolora.lora.attach import attached
from autolora.lora.example import Example
from autolora.testing.stage import MODES, Mode, adapted, stage

ANSWERS = "answers.safetensors"


def save_all(modules: Sequence[str], folder: Path) -> None:
    """Saves an adapter with random factors for each example of the modules."""
    for example in _examples(modules):
        save(adapted(example, "eval").model, folder / example.name)


def loaded_elsewhere(modules: Sequence[str], folder: Path) -> dict[str, Tensor]:
    """What every example answers in a fresh process, by the keys of `answers`."""
    command = [sys.executable, "-m", "autolora.testing.reload", str(folder), *modules]
    subprocess.run(command, check=True)
    return load_file(folder / ANSWERS)


def answers(example: Example, mode: Mode) -> dict[str, Tensor]:
    """What an example answers here, with the factors that `save_all` gives it."""
    return _keyed(example, mode, adapted(example, mode).answer())


def factors(example: Example, model: nn.Module | None = None) -> dict[str, Tensor]:
    """The factors of an example as saved here, or of a model that loaded them."""
    model = adapted(example, "eval").model if model is None else model
    return {
        f"{example.name}/{name}/{side}": getattr(part, side).detach().contiguous()
        for name, part in attached(model).factors.items()
        for side in ("up", "down")
    }


def _load_all(folder: Path, modules: Sequence[str]) -> None:
    found: dict[str, Tensor] = {}
    for example in _examples(modules):
        for mode in MODES:
            made = stage(example, mode)
            load(made.model, folder / example.name)
            found |= _keyed(example, mode, made.answer())
        found |= factors(example, made.model)
    save_file(found, folder / ANSWERS)


def _examples(modules: Sequence[str]) -> list[Example]:
    return [example for module in modules for example in import_module(module).EXAMPLES]


def _keyed(example: Example, mode: Mode, answer: Sequence[Tensor]) -> dict[str, Tensor]:
    return {
        f"{example.name}/{mode}/{number}": value.detach().contiguous()
        for number, value in enumerate(answer)
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    _load_all(Path(sys.argv[1]), sys.argv[2:])
