"""A fingerprint of the base an adapter was trained on."""

import hashlib
from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from autolora.errors import OtherBase
from autolora.lora.quantised import plain
from autolora.lora.targets import base_modules, join

_SAMPLES = 64  # values a parameter, evenly spaced


@dataclass(frozen=True)
class Fingerprint:
    """Names, shapes and types of a base's parameters, and a digest of a sample of their values.

    Parameters that are trained beside the deltas are no part of it.
    """

    parameters: Mapping[str, tuple[tuple[int, ...], str]]
    digest: str

    @classmethod
    def of(cls, model: nn.Module, *, trained: Container[str] = ()) -> "Fingerprint":
        """The fingerprint of a model's base without the parameters trained in full."""
        named = {n: p for n, p in base_parameters(model).items() if n not in trained}
        kinds = {n: (tuple(p.shape), str(p.dtype)) for n, p in named.items()}
        return cls(kinds, _digest(named, kinds))

    def check(self, model: nn.Module, *, trained: Container[str] = ()) -> None:
        """Makes sure that a model is the base of this fingerprint; a wider type is accepted.

        Raises:
            OtherBase: naming the first difference.
        """
        named = {n: p for n, p in base_parameters(model).items() if n not in trained}
        for name, (shape, _) in self.parameters.items():
            if name not in named:
                raise OtherBase(f"it has no parameter {name}")
            if tuple(named[name].shape) != shape:
                raise OtherBase(f"{name} is {tuple(named[name].shape)}, not {shape}")
        if extra := next((name for name in named if name not in self.parameters), None):
            raise OtherBase(f"it has a parameter {extra} that the adapter's base has not")
        if _digest(named, self.parameters) != self.digest:
            raise OtherBase("names and shapes are equal but the values differ")

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "digest": self.digest,
            "parameters": {n: [list(shape), kind] for n, (shape, kind) in self.parameters.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Fingerprint":
        """The fingerprint that `to_dict` gave."""
        kinds = {n: (tuple(shape), kind) for n, (shape, kind) in data["parameters"].items()}
        for _, kind in kinds.values():
            _dtype(kind)
        return cls(kinds, data["digest"])


def base_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Every distinct base parameter by its path."""
    found: dict[int, tuple[str, nn.Parameter]] = {}
    for path, module in base_modules(model):
        for name, parameter in module._parameters.items():  # noqa: SLF001 — what is registered
            if parameter is not None:
                found.setdefault(id(parameter), (join(path, name), parameter))
    return dict(found.values())


def _dtype(kind: str) -> torch.dtype:
    dtype = getattr(torch, kind.removeprefix("torch."), None)
    if not isinstance(dtype, torch.dtype) or not _is_number(dtype):
        raise TypeError(f"{kind} for the type of a parameter")
    return dtype


@cache
def _is_number(dtype: torch.dtype) -> bool:
    """Whether a value can be taken to a type and back; those of quantised tensors refuse."""
    if dtype.is_complex:
        return False
    try:
        torch.zeros(1).to(dtype).to(torch.float64)
    except (RuntimeError, TypeError, NotImplementedError):
        return False
    return True


def _digest(named: Mapping[str, Tensor], kinds: Mapping[str, tuple[tuple[int, ...], str]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(named):
        value = plain(named[name].detach()).flatten()
        samples = min(_SAMPLES, len(value))
        # In integers: a float32 ruler would overshoot the end of a large table.
        where = torch.arange(samples) * (len(value) - 1) // max(samples - 1, 1)
        dtype = _dtype(kinds[name][1])
        sample = value[where.to(value.device)].to(device="cpu", dtype=dtype).to(torch.float64)
        digest.update(f"{name}{kinds[name]}".encode() + sample.numpy().tobytes())
    return digest.hexdigest()
