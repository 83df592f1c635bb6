"""What a strategy has done already, so that it goes on where it was stopped."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from autolora.artifacts.adapter import Adapter
from autolora.spending.stage import Stage
from autolora.training.curve import CurvePoint, Ledger
from autolora.training.fit import Fit


@dataclass(frozen=True)
class Evaluation:
    """An allocation that was evaluated without being trained.

    `allocation` and `sample` are digests: of the ranks, and of which examples were seen.
    `example_passes` are fewer than `examples` where something was known from other evaluations.
    """

    allocation: str
    sample: str
    loss: float
    examples: int
    example_passes: int


@dataclass(frozen=True)
class Entry:
    """A stage that is done: plain data, and an adapter where one came of it.

    `adapter` is the content of an adapter file, or of a checkpoint where a run is left to go on.
    """

    stage: Stage
    data: Mapping[str, Any]
    adapter: bytes | None = None

    @classmethod
    def of_fit(cls, name: str, fit: Fit) -> "Entry":
        """A run as an entry."""
        data = {
            "loss": fit.loss,
            "metrics": dict(fit.metrics),
            "curve": [asdict(point) for point in fit.curve],
            "ledger": asdict(fit.ledger),
            "stopped": fit.stopped,
        }
        stage = Stage(name, fit.ledger.example_passes, fit.ledger.seconds)
        return cls(stage, data, fit.adapter.to_bytes())

    def fit(self) -> Fit:
        """The run that the entry holds."""
        assert self.adapter is not None
        return Fit(
            Adapter.from_bytes(self.adapter),
            self.data["loss"],
            self.data["metrics"],
            tuple(CurvePoint(**point) for point in self.data["curve"]),
            Ledger(**self.data["ledger"]),
            self.data["stopped"],
        )


class Journal(Protocol):
    """Keeps entries by key; what is kept is never done again."""

    def find(self, key: str) -> Entry | None:
        """The entry of a key, if that is done."""

    def keep(self, key: str, entry: Entry) -> None:
        """Keeps what was done; the first entry of a key stands."""

    def evaluated(self, stage: str, evaluations: Sequence[Evaluation]) -> None:
        """Keeps the evaluations of a stage."""


@dataclass
class Memory:
    """A journal that is forgotten with the process."""

    entries: dict[str, Entry] = field(default_factory=dict)
    evaluations: list[Evaluation] = field(default_factory=list)

    def find(self, key: str) -> Entry | None:
        """The entry of a key, if that is done."""
        return self.entries.get(key)

    def keep(self, key: str, entry: Entry) -> None:
        """Keeps what was done."""
        self.entries.setdefault(key, entry)

    def evaluated(self, stage: str, evaluations: Sequence[Evaluation]) -> None:
        """Keeps the evaluations of a stage."""
        del stage
        self.evaluations += evaluations


def digest(*content: Any) -> str:
    """A key of plain data: equal for equal content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
