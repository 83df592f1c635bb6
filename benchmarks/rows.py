"""Rows of the tables, as they travel from the measuring process to the one that prints."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from benchmarks.cases import Case
from benchmarks.measure import Mode, counts, in_turns, step
from benchmarks.variants import variants

MODES: tuple[Mode, ...] = ("train", "infer")


@dataclass(frozen=True)
class Effort:
    """How long each row is timed, at least how often, and whether costs are counted, too."""

    seconds: float
    least: int
    counted: bool


@dataclass(frozen=True)
class Row:
    """One case in one mode; ratios are to the base, and that of autolora to PEFT is `peer`."""

    case: str
    strict: bool
    mode: str
    milliseconds: float
    ratios: Mapping[str, float]
    peer: float | None
    peer_error: float | None
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {"row": asdict(self)}


def measured(case: Case, effort: Effort) -> Iterator[Row]:
    """Both modes of a case."""
    made = variants(case)
    torch.manual_seed(1)
    inputs = case.inputs()
    for mode in MODES:
        steps = {name: step(model, inputs, mode) for name, model in made.items()}
        times = in_turns(steps, effort.seconds, effort.least)
        counted: Mapping[str, Any] = {}
        if effort.counted:
            counted = {n: asdict(counts(model, inputs, mode)) for n, model in made.items()}
        if not case.counted:
            counted = {name: {**count, "flops": 0} for name, count in counted.items()}
        others = [name for name in made if name != "base"]
        peer: Callable[[str, str], float] | None = times.ratio if case.peft else None
        yield Row(
            case.name,
            case.strict,
            mode,
            1e3 * times.median("base"),
            {name: times.ratio(name, "base") for name in others},
            peer("autolora", "PEFT") if peer else None,
            times.error("autolora", "PEFT") if peer else None,
            counted,
        )
