"""Files made to do harm: one sentence each, bounded memory and time, the model untouched."""

import json
import os
import random
import re
import struct
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save, save_file
from torch import Tensor, nn

import autolora
from autolora.errors import AdapterFile, AutoloraError

Make = Callable[[], nn.Module]
FORMATS = ("autolora", "peft", "peft_uniform", "diffusers", "kohya")


@pytest.fixture(params=FORMATS)
def folder(request: pytest.FixtureRequest, trained: nn.Module, tmp_path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        autolora.save(trained, tmp_path / "a", format=request.param)
    return tmp_path / "a"


def state(model: nn.Module) -> Any:
    """All that a failed load could have left behind, cheap to compare."""
    modules = [
        (path, type(m), sorted(m.__dict__), sorted(m._modules)) for path, m in model.named_modules()
    ]
    tensors = [(n, id(p), p.requires_grad, p._version) for n, p in model.named_parameters()]
    return modules, tensors


def first(folder: Path) -> Path:
    """The file of tensors that another library would read."""
    return next(p for p in sorted(folder.glob("*.safetensors")) if "extra" not in p.name)


def refusal(model: nn.Module, folder: Path) -> str | None:
    """What is said of a folder, or nothing if it was loaded."""
    before = state(model)
    try:
        autolora.load(model, folder)
    except AutoloraError as error:
        said = str(error)
    else:
        return None
    assert state(model) == before
    assert said.isprintable()
    assert len(said) < 1500
    return said


def refused(model: nn.Module, folder: Path, words: str = "") -> None:
    said = refusal(model, folder)
    assert said is not None
    assert re.search(words, said), said


def mutations(whole: bytes, chance: random.Random) -> Iterator[bytes]:
    """Bytes changed, cut out, doubled, put in; numbers of the header among them."""
    for _ in range(40):
        data = bytearray(whole)
        # The header is a small part of the file and the more fragile one.
        reach = len(data) if chance.random() < 0.3 else min(len(data), 3000)
        for _ in range(chance.choice((1, 1, 2, 5))):
            at = chance.randrange(min(reach, len(data)))
            match chance.randrange(6):
                case 0:
                    data[at] ^= 1 << chance.randrange(8)
                case 1:
                    data[at] = chance.choice(b'0123456789{}[]",:-e\x00\xff')
                case 2:
                    del data[at : at + chance.randrange(1, 40)]
                case 3:
                    data[at:at] = data[at : at + chance.randrange(1, 40)]
                case 4:
                    data[:8] = struct.pack("<Q", chance.choice((0, 1, len(data), 2**31, 2**63)))
                case _:
                    data[at:at] = bytes(chance.randrange(256) for _ in range(4))
        yield bytes(data)


@pytest.mark.parametrize("seed", range(3))
def test_mutations_are_refused_or_harmless(seed: int, folder: Path, base: Make, x: Tensor) -> None:
    """Hundreds of them: what is still read must be a whole adapter with finite answers."""
    chance, model, read = random.Random(seed), base(), 0
    (folder / "README.md").unlink()
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        for content in mutations(whole, chance):
            path.write_bytes(content)
            if refusal(model, folder) is None:
                read, model = read + 1, base()
        path.write_bytes(whole)
    autolora.load(model, folder)
    assert torch.isfinite(model(x)).all()
    assert read < 150


def edited(folder: Path, edit: Callable[[dict[str, Tensor]], object]) -> None:
    """Another content of the first file, without the second one, which would notice."""
    for path in folder.glob("autolora_extra*"):
        path.unlink()
    tensors = load_file(first(folder))
    edit(tensors)
    save_file(tensors, first(folder))


def factor(tensors: dict[str, Tensor]) -> str:
    return next(key for key in sorted(tensors) if "features.0" in key or "features_0" in key)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_no_finite_numbers(value: float, folder: Path, base: Make) -> None:
    edited(folder, lambda tensors: tensors[factor(tensors)].view(-1)[:1].fill_(value))
    refused(base(), folder, "no finite number")


TYPES = (torch.int8, torch.int64, torch.bool, torch.float8_e4m3fn, torch.complex64)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_types_that_are_no_factors(dtype: torch.dtype, folder: Path, base: Make) -> None:
    def change(tensors: dict[str, Tensor]) -> None:
        for key in [k for k in tensors if "alpha" not in k]:
            tensors[key] = tensors[key].to(dtype)

    edited(folder, change)
    refused(base(), folder, "type|floating-point|not the file")


def test_half_precision_is_read(folder: Path, base: Make) -> None:
    if (folder / "adapter.json").exists():
        return  # which knows the digest of its tensors
    edited(folder, lambda tensors: tensors.update({k: v.half() for k, v in tensors.items()}))
    assert autolora.load(base(), folder).factors


def test_a_rank_beyond_reason(folder: Path, base: Make) -> None:
    """PEFT allows more rank than a matrix has; a product of that rank is read at its real one."""
    if (folder / "adapter.json").exists():
        return
    model, wide = base(), 500

    def change(tensors: dict[str, Tensor]) -> None:
        for key in [k for k in tensors if "features.0" in k or "features_0" in k]:
            value = tensors[key]
            if value.ndim > 1:
                side = value.shape[0 if ("_A" in key or "down" in key) else 1]
                axis = 0 if ("_A" in key or "down" in key) else 1
                tensors[key] = value.repeat_interleave(wide, axis) / side

    edited(folder, change)
    adapter = autolora.load(model, folder)
    assert adapter.allocation["features.0.weight"] <= 6


NAMES = (
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "a..b",
    "",
    "a\nb.lora_A.weight",
    "\x1b[2J",
    "x" * 5000,
)


@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name[:12]))
def test_names_that_are_no_paths_of_a_model(name: str, folder: Path, base: Make) -> None:
    edited(folder, lambda tensors: tensors.update({name: torch.zeros(1)}))
    refused(base(), folder)


@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name[:12]))
def test_headers_with_such_names(name: str, trained: nn.Module) -> None:
    adapter = autolora.Adapter.capture(trained)
    header = adapter.header()
    header["targets"][name] = header["targets"].pop("features.0.weight")
    tensors = adapter.tensors()
    for side in ("up", "down"):
        tensors[f"{side}.{name}"] = tensors.pop(f"{side}.features.0.weight")
    content = save(tensors, {"autolora": json.dumps(header)})
    with pytest.raises(AdapterFile) as caught:
        autolora.Adapter.from_bytes(content)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("field", ["name", "layer", "parameter", "block"])
def test_a_target_that_calls_itself_otherwise(field: str, trained: nn.Module) -> None:
    adapter = autolora.Adapter.capture(trained)
    header = adapter.header()
    header["targets"]["features.0.weight"][field] = "features.2"
    with pytest.raises(AdapterFile):
        autolora.Adapter.from_parts(header, adapter.tensors(), "here")


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), "2", True, 1e301, 10**400])
def test_scales_that_are_no_numbers(scale: object, trained: nn.Module) -> None:
    adapter = autolora.Adapter.capture(trained)
    header = adapter.header()
    header["targets"]["features.0.weight"]["scale"] = scale
    with pytest.raises(AdapterFile, match="scale"):
        autolora.Adapter.from_parts(header, adapter.tensors(), "here")


def with_header(path: Path, header: str | bytes, claimed: int | None = None) -> None:
    text = header if isinstance(header, bytes) else header.encode()
    path.write_bytes(struct.pack("<Q", len(text) if claimed is None else claimed) + text)


def entry(shape: list[int], end: int) -> str:
    return json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}})


HEADERS: dict[str, tuple[str | bytes, int | None]] = {
    "10 GB of header": ('{"a": 1}', 10 * 2**30),
    "all the bytes there are": ('{"a": 1}', 2**64 - 1),
    "10 GB of tensor": (entry([2684354560], 10737418240), None),
    "an overflow": (entry([2**32, 2**32], 0), None),
    "a negative size": (entry([-1], -4), None),
    "a name twice": (f"{entry([0], 0)[:-1]},{entry([0], 0)[1:]}", None),
    "deep": ("[" * 100_000, None),
    "deep objects": ('{"a":' * 100_000, None),
    "a list": ("[]", None),
    "no dtype": ('{"a":{}}', None),
    "an entry that is none": ('{"a":7}', None),
    "metadata that is none": ('{"__metadata__":7}', None),
    "a long number": ('{"a":' + "9" * 10_000 + "}", None),
    "no text": (b"\xff\xfe\x00", None),
}


@pytest.mark.parametrize("case", HEADERS.values(), ids=HEADERS)
def test_headers_that_claim_too_much(case: Any, folder: Path, base: Make) -> None:
    model = base()
    for path in sorted(folder.glob("*.safetensors")):
        whole = path.read_bytes()
        with_header(path, *case)
        tracemalloc.start()
        refused(model, folder)
        assert tracemalloc.get_traced_memory()[1] < 2**25
        tracemalloc.stop()
        path.write_bytes(whole)


JSONS = {
    "deep": "[" * 100_000,
    "deep objects": '{"a":' * 100_000,
    "twice": '{"version": 1, "version": 2, "peft_type": "LORA", "peft_type": "LORA"}',
    "a long number": '{"version": ' + "9" * 10_000 + "}",
    "strange numbers": '{"version": NaN, "peft_type": -Infinity}',
    "surrogates": '{"peft_type": "\\ud800", "version": "\\ud800"}',
    "no text": "\x00",
    "a word": '"adapter"',
}


@pytest.mark.parametrize("text", JSONS.values(), ids=JSONS)
def test_json_that_is_no_header(text: str, folder: Path, base: Make) -> None:
    model = base()
    for path in sorted(folder.glob("*.json")):
        whole = path.read_bytes()
        path.write_text(text)
        refused(model, folder)
        path.write_bytes(whole)


def test_files_larger_than_any_adapter_are_not_opened(folder: Path, base: Make) -> None:
    model = base()
    for path in sorted(p for p in folder.iterdir() if p.name != "README.md"):
        whole = path.read_bytes()
        with path.open("r+b") as file:
            file.truncate(40 * 2**30)  # sparse: it takes no room on the disk
        tracemalloc.start()
        refused(model, folder, "more than")
        assert tracemalloc.get_traced_memory()[1] < 2**25
        tracemalloc.stop()
        path.write_bytes(whole)


@pytest.mark.parametrize("what", ["pipe", "device", "folder", "nowhere", "itself"])
def test_files_that_are_no_files(what: str, folder: Path, base: Make, tmp_path: Path) -> None:
    path = first(folder)
    path.unlink()
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        to = {"device": "/dev/zero", "nowhere": tmp_path / "nowhere", "itself": path}[what]
        path.symlink_to(to)
    refused(base(), folder)


def test_a_key_that_stands_twice_is_named(folder: Path, base: Make) -> None:
    """The files are whole otherwise: loaders would read one or the other."""
    for path in sorted(folder.glob("*.json")):
        whole = path.read_text()
        path.write_text('{"version": 1, "peft_type": "LORA",' + whole.lstrip()[1:])
        refused(base(), folder, "stands in it twice")
        path.write_text(whole)
    path = first(folder)
    whole_bytes = path.read_bytes()
    size = int.from_bytes(whole_bytes[:8], "little")
    header = whole_bytes[8 : 8 + size].rstrip()
    name, value = next(iter(json.loads(header).items()))
    again = header[:-1] + f",{json.dumps(name)}:{json.dumps(value)}}}".encode()
    path.write_bytes(struct.pack("<Q", len(again)) + again + whole_bytes[8 + size :])
    refused(base(), folder, "stands in it twice")


def test_links_to_whole_files_are_followed(folder: Path, base: Make, tmp_path: Path) -> None:
    """As in the cache of a hub, where every file is one."""
    for i, path in enumerate(sorted(folder.iterdir())):
        blob = tmp_path / f"blob{i}"
        path.rename(blob)
        path.symlink_to(blob)
    assert autolora.load(base(), folder).factors


def test_a_linked_folder_is_replaced_where_it_lies(trained: nn.Module, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for _ in range(2):
        autolora.save(trained, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "adapter.json").exists()
    assert {p.name for p in tmp_path.iterdir()} == {"real", "link"}


def test_a_link_inside_a_former_version_is_not_written_through(
    trained: nn.Module, tmp_path: Path
) -> None:
    (tmp_path / "precious").write_text("mine")
    autolora.save(trained, tmp_path / "a")
    (tmp_path / "a" / "adapter.json").unlink()
    (tmp_path / "a" / "adapter.json").symlink_to(tmp_path / "precious")
    autolora.save(trained, tmp_path / "a")
    assert (tmp_path / "precious").read_text() == "mine"
    assert not (tmp_path / "a" / "adapter.json").is_symlink()
