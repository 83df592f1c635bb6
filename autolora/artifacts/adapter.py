"""An adapter as a value: factors, scales, and what is known of the base they belong to."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

import torch
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from autolora.artifacts.describe import describe
from autolora.artifacts.fingerprint import Fingerprint, base_parameters
from autolora.artifacts.reading import metadata, number, only_floats, parse_json, read_tensors
from autolora.errors import AdapterFile, NoSuchTarget, WrongShape
from autolora.lora.allocation import Allocation
from autolora.lora.attach import Attached, attach, attached
from autolora.lora.freeze import claim
from autolora.lora.targets import Target, every_target, target_name
from autolora.registry import nearest

VERSION = 1


@dataclass(frozen=True)
class Adapter:
    """A trained adapter, apart from any model.

    `layers` tells of each layer with a trained value what a foreign format needs to know (its
    type, the geometry of a convolution, whether a weight is tied); `full` holds the parameters
    trained in full beside the deltas; `about` is free: metrics, seeds, provenance.

    Shapes: factors hold up (rows, rank) and down (rank, columns), on the CPU.
    """

    targets: Mapping[str, Target]
    factors: Mapping[str, tuple[Tensor, Tensor]]
    scales: Mapping[str, float]
    full: Mapping[str, Tensor]
    layers: Mapping[str, Mapping[str, Any]]
    base: Fingerprint | None
    about: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def capture(
        cls, model: nn.Module, name: str = "default", about: Mapping[str, Any] | None = None
    ) -> "Adapter":
        """A copy of the adapter that a model carries.

        Raises:
            NotAttached: if the model carries no adapter.
        """
        adapter = attached(model, name)
        also = {id(p) for p in adapter.also.values()}
        # A tied parameter goes by the name met first, as in the fingerprint.
        full = {n: _copy(p) for n, p in base_parameters(model).items() if id(p) in also}
        paths = {t.layer for t in adapter.targets.values()} | {n.rpartition(".")[0] for n in full}
        return cls(
            targets=adapter.targets,
            factors={n: (_copy(f.up), _copy(f.down)) for n, f in adapter.factors.items()},
            scales=adapter.scales,
            full=full,
            layers=describe(model, paths),
            base=Fingerprint.of(model, trained=full),
            about=about or {},
        )

    @property
    def allocation(self) -> Allocation:
        """The rank of every target."""
        return Allocation({name: up.shape[1] for name, (up, _) in self.factors.items()})

    @property
    def parameters(self) -> int:
        """Parameters of the factors; what is trained in full is not counted."""
        return sum(up.numel() + down.numel() for up, down in self.factors.values())

    @property
    def digest(self) -> str:
        """A digest of every tensor and scale."""
        scales = json.dumps(dict(self.scales), sort_keys=True).encode()
        return hashlib.sha256(save_tensors(self.tensors()) + scales).hexdigest()

    def attach_to(self, model: nn.Module, *, name: str = "default", check: bool = True) -> Attached:
        """Attaches the adapter to a model; everything is checked before the model is touched.

        With `check` off, only names and shapes must fit, not the values of the base.

        Raises:
            OtherBase: if the model is not the base the adapter was trained on.
            NoSuchTarget: if the model lacks a target.
            WrongShape: if a target or a parameter has another shape.
        """
        self._check_shapes(model)
        if check and self.base is not None:
            self.base.check(model, trained=self.full)
        adapter = attach(model, self.allocation, name=name)
        base = base_parameters(model)
        with torch.no_grad():
            for target, part in adapter.factors.items():
                up, down = self.factors[target]
                part.up.copy_(up)
                part.down.copy_(down)
                part.scale = self.scales[target]
            for parameter, value in self.full.items():
                base[parameter].requires_grad_(True).copy_(value)
                adapter.also[parameter] = base[parameter]
                claim(model, parameter, name)
        return adapter

    def _check_shapes(self, model: nn.Module) -> None:
        known = {target.name: target for target in every_target(model)}
        base = base_parameters(model)
        for name, mine in self.targets.items():
            if name not in known:
                raise NoSuchTarget(name, nearest(name, known))
            theirs = known[name]
            if (mine.rows, mine.columns) != (theirs.rows, theirs.columns):
                raise WrongShape(name, (mine.rows, mine.columns), (theirs.rows, theirs.columns))
        for name, value in self.full.items():
            if name not in base:
                raise NoSuchTarget(name, nearest(name, base))
            if base[name].shape != value.shape:
                raise WrongShape(name, tuple(value.shape), tuple(base[name].shape))

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor under the key it has in a file."""
        return {
            **{f"up.{n}": up.contiguous() for n, (up, _) in self.factors.items()},
            **{f"down.{n}": down.contiguous() for n, (_, down) in self.factors.items()},
            **{f"full.{n}": value.contiguous() for n, value in self.full.items()},
        }

    def header(self) -> dict[str, Any]:
        """Everything but the tensors, as plain data."""
        return {
            "format": "autolora",
            "version": VERSION,
            "targets": {
                n: {**asdict(t), "rank": self.allocation[n], "scale": self.scales[n]}
                for n, t in self.targets.items()
            },
            "full": sorted(self.full),
            "layers": self.layers,
            "base": self.base.to_dict() if self.base else None,
            "about": self.about,
            "versions": {name: version(name) for name in ("autolora", "torch", "safetensors")},
        }

    def to_bytes(self) -> bytes:
        """One safetensors file with the header inside."""
        return save_tensors(self.tensors(), {"autolora": json.dumps(self.header(), sort_keys=True)})

    @classmethod
    def from_bytes(cls, content: bytes, source: str = "the stored adapter") -> "Adapter":
        """The adapter that `to_bytes` wrote.

        Raises:
            AdapterFile: if the content is cut off or no adapter.
        """
        return cls.from_parts(
            _header_inside(content, source), read_tensors(content, source), source
        )

    @classmethod
    def from_parts(
        cls, header: Mapping[str, Any], tensors: Mapping[str, Tensor], source: str
    ) -> "Adapter":
        """An adapter from a header and tensors, both checked against each other.

        Raises:
            AdapterFile: if keys are missing or unknown, shapes do not fit, or the version is newer.
        """
        check_version(header, source)
        try:
            named = {n: _target(n, data) for n, data in header["targets"].items()}
            scales = {
                n: number(data["scale"], f"the scale of {n}", source)
                for n, data in header["targets"].items()
            }
            ranks = {n: int(data["rank"]) for n, data in header["targets"].items()}
            base = Fingerprint.from_dict(header["base"]) if header["base"] else None
            full = [str(name) for name in list[Any](header["full"])]
            layers, about = dict(header["layers"]), dict(header["about"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise AdapterFile(source, f"its header lacks or misspells {error}") from error
        _check_keys(named, full, tensors, source)
        only_floats(tensors, source)
        for name, target in named.items():
            shapes = tuple(tensors[f"up.{name}"].shape), tuple(tensors[f"down.{name}"].shape)
            if shapes != ((target.rows, ranks[name]), (ranks[name], target.columns)):
                raise AdapterFile(source, f"the factors of {name} have shapes {shapes}")
        factors = {n: (tensors[f"up.{n}"], tensors[f"down.{n}"]) for n in named}
        values = {n: tensors[f"full.{n}"] for n in full}
        return cls(named, factors, scales, values, layers, base, about)


def check_version(header: Mapping[str, Any], source: str) -> None:
    """Makes sure that a header is one of the version that this autolora writes.

    Raises:
        AdapterFile: if it is no header or of another version.
    """
    found = header.get("version") if isinstance(header, Mapping) else None
    if found != VERSION:
        raise AdapterFile(source, f"its format version is {found}, this autolora reads {VERSION}")


def _header_inside(content: bytes, source: str) -> dict[str, Any]:
    found = metadata(content, source)
    if "autolora" not in found:
        raise AdapterFile(source, "it holds no autolora header")
    return parse_json(found["autolora"], source)


def _check_keys(
    named: Mapping[str, Target], full: list[str], tensors: Mapping[str, Tensor], source: str
) -> None:
    wanted = {f"{side}.{n}" for n in named for side in ("up", "down")} | {f"full.{n}" for n in full}
    if missing := sorted(wanted - set(tensors)):
        raise AdapterFile(source, f"it lacks {missing[0]}")
    if unknown := sorted(set(tensors) - wanted):
        raise AdapterFile(source, f"it holds {unknown[0]}, which its header does not name")


def _target(name: str, data: Mapping[str, Any]) -> Target:
    target = Target(**{k: v for k, v in data.items() if k not in ("rank", "scale")})
    numbers = (target.rows, target.columns, target.first_row, data["rank"])
    if not all(type(n) is int and n >= 0 for n in numbers) or data["rank"] < 1:
        raise ValueError(f"the numbers of {name}")
    if not name == target.name == target_name(target.layer, target.parameter, target.block):
        raise ValueError(f"the name of {name}")
    return target


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True)
