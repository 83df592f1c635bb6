"""What is no whole adapter of this base is refused in one sentence, and the model not touched."""

import json
import pickle
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save, save_file
from torch import Tensor, nn

import autolora
from autolora.errors import (
    AdapterFile,
    AdapterName,
    AutoloraError,
    NoAdapter,
    NoSuchTarget,
    NotPlainLora,
    OtherBase,
    UnknownName,
    WrongShape,
)

Make = Callable[[], nn.Module]


@pytest.fixture(params=["autolora", "peft"])
def folder(request: pytest.FixtureRequest, trained: nn.Module, tmp_path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        autolora.save(trained, tmp_path / "a", format=request.param)
    return tmp_path / "a"


def state(model: nn.Module) -> Any:
    """All that a failed load could have left behind."""
    modules = [
        (path, type(module), sorted(module.__dict__), sorted(module._modules), module.training)
        for path, module in model.named_modules()
    ]
    tensors = {n: (id(p), p.requires_grad, p.tolist()) for n, p in model.named_parameters()}
    return modules, tensors, {n: b.tolist() for n, b in model.named_buffers()}


@contextmanager
def refused(
    model: nn.Module, error: type[AutoloraError], words: str | None = None
) -> Iterator[None]:
    before = state(model)
    with pytest.raises(error, match=words) as caught:
        yield
    assert state(model) == before
    assert "\n" not in str(caught.value)


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def headers(folder: Path) -> Path:
    return next(p for p in folder.iterdir() if p.name in ("adapter.json", "autolora_extra.json"))


def test_files_cut_off_at_any_place(folder: Path, base: Make) -> None:
    model = base()
    for path in sorted(p for p in folder.iterdir() if p.name != "README.md"):
        whole = path.read_bytes()
        for length in (0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:length])
            with refused(model, AdapterFile):
                autolora.load(model, folder)
        path.write_bytes(whole)
    autolora.load(model, folder)


def test_files_that_are_not_there(folder: Path, base: Make) -> None:
    model = base()
    marks = ("adapter.json", "adapter_config.json")
    optional = ("README.md", "autolora_extra.json")  # PEFT writes no second file
    for path in sorted(folder.iterdir()):
        if path.name in optional:
            continue
        whole = path.read_bytes()
        path.unlink()
        with refused(model, NoAdapter if path.name in marks else AdapterFile):
            autolora.load(model, folder)
        path.write_bytes(whole)


def test_a_changed_byte_is_noticed(folder: Path, base: Make) -> None:
    model = base()
    for path in sorted(folder.glob("*.safetensors")):
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with refused(model, AdapterFile, "not"):
            autolora.load(model, folder)
        path.write_bytes(whole)


def test_stored_bytes_cut_off_or_strange(trained: nn.Module) -> None:
    whole = autolora.Adapter.capture(trained).to_bytes()
    for length in (0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1):
        with pytest.raises(AdapterFile):
            autolora.Adapter.from_bytes(whole[:length])
    for metadata in ({}, {"autolora": "no JSON"}, {"autolora": "[1]"}, {"autolora": "3"}):
        with pytest.raises(AdapterFile):
            autolora.Adapter.from_bytes(save({"x": torch.zeros(1)}, metadata))


def test_a_newer_version(folder: Path, base: Make, trained: nn.Module) -> None:
    model = base()
    edit(headers(folder), version=2)
    with refused(model, AdapterFile, "version is 2, this autolora reads 1"):
        autolora.load(model, folder)
    adapter = autolora.Adapter.capture(trained)
    header = {**adapter.header(), "version": 2, "targets": "whatever version 2 has here"}
    with pytest.raises(AdapterFile, match="version is 2"):
        autolora.Adapter.from_bytes(save(adapter.tensors(), {"autolora": json.dumps(header)}))


@pytest.mark.parametrize("value", [None, 7, "text", ["x"], {"x": 1}, {"x": None}])
@pytest.mark.parametrize("key", ["targets", "full", "layers", "base", "about", "version"])
def test_headers_with_strange_values(
    key: str, value: object, trained: nn.Module, base: Make
) -> None:
    adapter = autolora.Adapter.capture(trained)
    header = {**adapter.header(), key: value}
    content = save(adapter.tensors(), {"autolora": json.dumps(header)})
    model = base()
    if (key, value) in (("about", {"x": 1}), ("about", {"x": None}), ("base", None)):
        autolora.Adapter.from_bytes(content).attach_to(model)  # free, or not known
        return
    if key == "layers" and isinstance(value, dict):
        return  # read by foreign formats only
    with refused(model, AdapterFile):
        autolora.Adapter.from_bytes(content).attach_to(model)


@pytest.mark.parametrize(
    "change",
    [
        {"rank": 4}, {"rank": "x"}, {"scale": None}, {"rows": 99}, {"columns": None}, {"depth": 3},
    ],
)  # fmt: skip
def test_targets_with_strange_values(change: dict[str, object], trained: nn.Module) -> None:
    adapter = autolora.Adapter.capture(trained)
    header = adapter.header()
    header["targets"]["features.0.weight"] |= change
    with pytest.raises(AdapterFile):
        autolora.Adapter.from_parts(header, adapter.tensors(), "here")


@pytest.mark.parametrize("kind", ["bfloat99", "qint8", "bits8", "complex64", "nn", ""])
def test_a_base_with_a_type_that_no_parameter_has(kind: str, trained: nn.Module) -> None:
    adapter = autolora.Adapter.capture(trained)
    header = adapter.header()
    header["base"]["parameters"]["features.0.weight"][1] = f"torch.{kind}"
    with pytest.raises(AdapterFile, match="for the type of a parameter"):
        autolora.Adapter.from_parts(header, adapter.tensors(), "here")


def test_tensors_missing_or_unknown(trained: nn.Module) -> None:
    adapter = autolora.Adapter.capture(trained)
    for key in ("up.features.0.weight", "down.features.2.weight", "full.head.bias"):
        rest = {n: t for n, t in adapter.tensors().items() if n != key}
        with pytest.raises(AdapterFile, match=f"lacks {key}"):
            autolora.Adapter.from_parts(adapter.header(), rest, "here")
    more = {**adapter.tensors(), "up.x": torch.zeros(1)}
    with pytest.raises(AdapterFile, match=r"holds up\.x"):
        autolora.Adapter.from_parts(adapter.header(), more, "here")


def changed(base: Make, change: Callable[[nn.Module], object]) -> nn.Module:
    model = base()
    change(model)
    return model


@torch.no_grad()
def other_values(model: nn.Module) -> None:
    model.get_parameter("memory.bias_hh_l0").add_(1e-3)


BASES: dict[str, tuple[Callable[[nn.Module], object], type[AutoloraError], str]] = {
    "values": (other_values, OtherBase, "values differ"),
    "another name": (
        lambda m: m.register_parameter("extra", nn.Parameter(torch.zeros(2))),
        OtherBase,
        "extra",
    ),
    "a missing name": (lambda m: m.features[0].register_parameter("bias", None), OtherBase, "bias"),
    "another shape": (
        lambda m: setattr(m.features, "0", nn.Conv2d(4, 6, 3)),
        WrongShape,
        "features.0",
    ),
    "another head": (lambda m: setattr(m, "head", nn.Linear(5, 10)), WrongShape, "head"),
    "another norm": (
        lambda m: setattr(m.features, "1", nn.BatchNorm2d(7)),
        OtherBase,
        "features.1.weight",
    ),
    "another layer": (lambda m: setattr(m.features, "0", nn.Identity()), NoSuchTarget, "features"),
}


@pytest.mark.parametrize("case", BASES.values(), ids=BASES)
def test_another_base(case: Any, folder: Path, base: Make) -> None:
    change, error, words = case
    if headers(folder).name == "autolora_extra.json" and change is BASES["another layer"][0]:
        error = AdapterFile  # the path is there, but PEFT has no such layer
    model = changed(base, change)
    with refused(model, error, words):
        autolora.load(model, folder)


def test_without_the_check_values_may_differ(folder: Path, base: Make) -> None:
    model = changed(base, other_values)
    autolora.load(model, folder, check=False)
    model = changed(base, BASES["another head"][0])
    with refused(model, WrongShape):
        autolora.load(model, folder, check=False)


def test_a_name_that_is_taken(folder: Path, base: Make) -> None:
    model = base()
    autolora.load(model, folder)
    with refused(model, AdapterName, "already"):
        autolora.load(model, folder)


def test_no_adapter_and_no_format(tmp_path: Path, base: Make, trained: nn.Module) -> None:
    model = base()
    for nowhere in (tmp_path, tmp_path / "nothing"):
        with refused(model, NoAdapter):
            autolora.load(model, nowhere)
    with pytest.raises(UnknownName, match="peft"):
        autolora.save(trained, tmp_path / "b", format="pefd")
    assert not (tmp_path / "b").exists()


def test_a_pickle_is_never_opened(folder: Path, base: Make, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return Path.touch, (tmp_path / "opened",)  # type: ignore[return-value]

    model = base()
    content = pickle.dumps(Trap())
    pickle.loads(content)
    (tmp_path / "opened").unlink()  # the trap works
    for path in sorted(p for p in folder.iterdir() if p.name != "README.md"):
        whole = path.read_bytes()
        path.write_bytes(content)
        with refused(model, AdapterFile):
            autolora.load(model, folder)
        path.write_bytes(whole)
    (folder / "adapter_model.bin").write_bytes(content)
    with pytest.raises(AdapterFile):
        autolora.Adapter.from_bytes(content)
    assert not (tmp_path / "opened").exists()


PEFT_CHANGES: dict[str, tuple[str, str, type[AutoloraError]]] = {
    "half missing": ("drop features.0.lora_B.weight", "without the other half", AdapterFile),
    "other half missing": ("drop features.0.lora_A.weight", "without the other", AdapterFile),
    "rows": ("double features.0.lora_B.weight", "features.0", WrongShape),
    "rank": ("cut features.0.lora_A.weight", "ranks that do not fit", AdapterFile),
    "unknown": ("add nowhere.weight", "nowhere", NoSuchTarget),
    "unknown layer": ("add nowhere.lora_A.weight", "nowhere", NoSuchTarget),
    "magnitude": ("add features.0.lora_magnitude_vector", "no plain LoRA", NotPlainLora),
    "buffer": ("add features.1.running_mean", "other values", OtherBase),
}


@pytest.mark.parametrize("case", PEFT_CHANGES.values(), ids=PEFT_CHANGES)
def test_tensors_of_peft_that_do_not_fit(
    case: tuple[str, str, type[AutoloraError]], trained: nn.Module, base: Make, tmp_path: Path
) -> None:
    command, words, error = case
    with pytest.warns(UserWarning, match="peft cannot express"):
        autolora.save(trained, tmp_path / "a", format="peft")
    for name in ("autolora_extra.json", "autolora_extra.safetensors"):
        (tmp_path / "a" / name).unlink()  # as PEFT would write it
    file = tmp_path / "a" / "adapter_model.safetensors"
    save_file(_after(command, load_file(file)), file)
    model = base()
    with refused(model, error, words):
        autolora.load(model, tmp_path / "a")


def _after(command: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    verb, name = command.split()
    key = f"base_model.model.{name}"
    old = tensors.pop(key, torch.ones(6))
    new = {"double": torch.cat([old, old]), "cut": old[:1], "add": old}
    return tensors if verb == "drop" else {**tensors, key: new[verb].contiguous()}


@pytest.mark.parametrize(
    "change",
    [
        {"target_parameters": 3}, {"target_parameters": [3]},
        {"lora_alpha": "much"}, {"lora_alpha": float("nan")}, {"lora_alpha": 1e999},
        {"lora_alpha": True}, {"lora_alpha": 10**400},
        {"alpha_pattern": {"(": 3}}, {"alpha_pattern": 3}, {"alpha_pattern": {".*": None}},
        {"alpha_pattern": {"(a+)+b": 3}}, {"alpha_pattern": {".*.*.*.*.*.*x": 3}},
        {"alpha_pattern": {"x" * 2000: 3}},
    ],
    ids=str,
)  # fmt: skip
def test_configurations_of_peft_that_mean_something_else(
    change: dict[str, object], trained: nn.Module, base: Make, tmp_path: Path
) -> None:
    with pytest.warns(UserWarning, match="peft cannot express"):
        autolora.save(trained, tmp_path / "a", format="peft")
    edit(tmp_path / "a" / "adapter_config.json", **change)
    model = base()
    with refused(model, AdapterFile):
        autolora.load(model, tmp_path / "a")


OTHER_METHODS: dict[str, dict[str, object]] = {
    "LOHA": {"peft_type": "LOHA"},
    "no type": {"peft_type": None},
    "biases": {"bias": "all"},
    "DoRA": {"use_dora": True},
    "lora_bias": {"lora_bias": True},
    "QA-LoRA": {"use_qalora": True},
    "KaSA": {"kasa_config": {}, "use_qalora": True},
    "aLoRA": {"alora_invocation_tokens": [1]},
    "layer_replication": {"layer_replication": [[0, 1]]},
    "single tokens": {"trainable_token_indices": [1]},
    **{
        n: {"init_lora_weights": n} for n in ("pissa", "pissa_niter_4", "corda", "loftq", "lora_ga")
    },
    "OLoRA": {"init_lora_weights": "OLoRA"},
}


@pytest.mark.parametrize("name", OTHER_METHODS)
def test_other_methods_are_refused_by_name(
    name: str, trained: nn.Module, base: Make, tmp_path: Path
) -> None:
    with pytest.warns(UserWarning, match="peft cannot express"):
        autolora.save(trained, tmp_path / "a", format="peft")
    edit(tmp_path / "a" / "adapter_config.json", **OTHER_METHODS[name])
    model = base()
    words = {"no type": "None", "KaSA": "QA-LoRA"}.get(name, name)
    with refused(model, NotPlainLora, words):
        autolora.load(model, tmp_path / "a")
