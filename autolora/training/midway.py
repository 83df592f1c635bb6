"""A run that is left at an evaluation: where it stands, and all that it found up to there."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from autolora.artifacts.reading import metadata
from autolora.training.checkpoint import Checkpoint
from autolora.training.curve import CurvePoint, Ledger
from autolora.training.loop import Evaluated

VERSION = 1
_BEST, _PLACE = "best.", "place."


@dataclass(frozen=True)
class Midway:
    """A run at an evaluation, on the CPU.

    Attributes:
        place: Where it stands.
        best: The trained tensors at the best evaluation, in the order of the treatment.
        evaluated: That evaluation.
        since: How many came after it.
        curve: All evaluations up to here.
        ledger: What it has cost.
    """

    place: Checkpoint
    best: Sequence[Tensor]
    evaluated: Evaluated
    since: int
    curve: tuple[CurvePoint, ...]
    ledger: Ledger

    def to_bytes(self, about: Mapping[str, Any]) -> bytes:
        """The run as safetensors, with the rest and what it is `about` as JSON in the header."""
        tensors = {f"{_PLACE}{name}": t for name, t in self.place.tensors().items()}
        tensors |= {f"{_BEST}{i}": tensor.contiguous() for i, tensor in enumerate(self.best)}
        header = {
            "version": VERSION,
            "about": dict(about),
            "point": asdict(self.evaluated.point),
            "metrics": dict(self.evaluated.metrics),
            "since": self.since,
            "curve": [asdict(point) for point in self.curve],
            "ledger": asdict(self.ledger),
        }
        return save(tensors, {"run": json.dumps(header)})

    @classmethod
    def from_bytes(cls, content: bytes) -> "Midway":
        """The run that `to_bytes` wrote."""
        header, tensors = _header(content), load(content)
        place = {n.removeprefix(_PLACE): t for n, t in tensors.items() if n.startswith(_PLACE)}
        best = [tensors[f"{_BEST}{i}"] for i in range(len(tensors) - len(place))]
        return cls(
            Checkpoint.of_tensors(place),
            best,
            Evaluated(CurvePoint(**header["point"]), header["metrics"]),
            header["since"],
            tuple(CurvePoint(**point) for point in header["curve"]),
            Ledger(**header["ledger"]),
        )


def about(content: bytes) -> Mapping[str, Any]:
    """What the run that `to_bytes` wrote is about; nothing, if another version wrote it."""
    header = _header(content)
    found: Mapping[str, Any] = header["about"] if header.get("version") == VERSION else {}
    return found


def _header(content: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(metadata(content, "a run that was left")["run"])
    return found
