"""Adapters written for PEFT and by PEFT, and every example of a layer within a parent."""

import copy
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

import autolora
from autolora.artifacts.peft_write import expressible
from autolora.lora import views
from autolora.lora.attach import adapters
from autolora.lora.example import Example
from autolora.testing.stage import (
    Mode,
    Stage,
    attach_everywhere,
    close,
    stage,
)


class Within(nn.Module):
    """PEFT replaces layers in their parents, so every layer needs one."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *inputs: Any) -> Any:
        return self.inner(*inputs)


def within(example: Example) -> Example:
    return replace(example, model=lambda: Within(example.model()))


EXAMPLES = {e.name: within(e) for view in views.all_views() for e in view.EXAMPLES}
READS_WEIGHT = EXAMPLES.pop("only_weight_is_read")
ASKS_FOR_TYPE = EXAMPLES.pop("lstm_cell")  # and PEFT's layer is of another


def paths(model: nn.Module) -> list[tuple[str, bool]]:
    """Each target and whether PEFT can express it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapter = autolora.Adapter.capture(model) if attached_to(model) else made_for(model)
    inside = expressible(adapter)
    return [(name, name in inside) for name in adapter.targets]


def attached_to(model: nn.Module) -> bool:
    return bool(adapters(model))


def made_for(model: nn.Module) -> autolora.Adapter:
    made = copy.deepcopy(model)
    attach_everywhere(made)
    return autolora.Adapter.capture(made)


def whole(example: Example) -> bool:
    return all(ok for _, ok in paths(stage(example, "eval").model))


def in_peft(model: nn.Module, folder: Path, mode: Mode = "eval") -> nn.Module:
    loaded: nn.Module = PeftModel.from_pretrained(model, folder, autocast_adapter_dtype=False)
    return loaded.train(mode == "train")


def saved(model: nn.Module, folder: Path, form: str = "peft") -> tuple[str, ...]:
    """Saves in PEFT's format; what is kept beside must be warned about, and only that."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        beside = autolora.save(model, folder, format=form)
    assert len(said) == bool(beside)
    assert all(name in str(said[0].message) for name in beside)
    return beside


def read_twice(example: Example, made: Stage, folder: Path) -> None:
    """From PEFT's format, saved again in ours, and from there."""
    for form in ("a", "b"):
        again = stage(example, made.mode)
        adapter = autolora.load(again.model, folder / form)
        assert adapter.allocation == autolora.Adapter.capture(made.model).allocation
        close(again.answer(), made.answer())
        if form == "a":
            autolora.save(again.model, folder / "b")


def by_peft(model: nn.Module, folder: Path, **config: Any) -> nn.Module:
    """A model that PEFT adapted, with random factors, saved by PEFT."""
    settings = {"r": 4, "lora_alpha": 6, **config}
    made = get_peft_model(model, LoraConfig(**settings), autocast_adapter_dtype=False).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    made.save_pretrained(folder)
    return made
