"""Looking at the data and the model that a first study file is written for."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from autolora import tasks
from autolora.data.sources import tables
from autolora.errors import AutoloraError, DataUnreachable, ModelUnreachable, UsageError
from autolora.lora.select import outside
from autolora.lora.targets import Target
from autolora.registry import load
from autolora.study.overview import named
from autolora.study.template_kinds import KINDS

_MADE = ("valid", "test")
_HIGHEST = 8  # the highest rank of a space that is made up
# The space for an objective whose models are mostly of one sort; else its modality's first.
_USUAL: Mapping[str, str] = MappingProxyType(
    {
        "causal_lm": "text-decoder",
        "ctc": "speech-ctc",
        "transcription": "speech-transformer",
    }
)
_PLAIN = ("embedding", "matrix", "tensor")  # kinds that a space that is made up leaves out

_UNREACHABLE = (DataUnreachable, ModelUnreachable)  # for now: a network may be there later


@dataclass(frozen=True)
class Seen:
    """What lies at the place of the data: its columns, how many rows train has, and its splits."""

    columns: tuple[str, ...]
    rows: int
    splits: tuple[str, ...]

    @property
    def made(self) -> tuple[str, ...]:
        """The splits that are not there and have to be made out of train."""
        return tuple(name for name in _MADE if name not in self.splits)


def data(where: str) -> Seen | None:
    """Looks at the data; None if they cannot be had now, as without a network.

    Raises:
        UsageError: if there is nothing, or nothing that can be read.
    """
    try:
        found = tables(where)
    except _UNREACHABLE:
        return None
    except UsageError:
        raise
    except AutoloraError:
        return None
    train = found.get("train") or next(iter(found.values()))
    return Seen(tuple(train.columns), len(train), tuple(found))


def steps(rows: int | None, batch_size: int, made: Sequence[str]) -> int:
    """Three passes over train, but at least 50 steps and at most 1,000; 200 if it is not known.

    >>> steps(4000, 16, ("valid", "test")), steps(90, 16, ()), steps(None, 16, ())
    (525, 50, 200)
    """
    if rows is None:
        return 200
    return min(1000, max(50, math.ceil(3 * rows * (1 - 0.15 * len(made)) / batch_size)))


def space(
    modality: str, options: Mapping[str, Any], *, allow_code: bool
) -> str | dict[str, Any] | None:
    """The first search space of a modality that fits the model, or one that is made up for it.

    None where model or data cannot be had now, as without a network.

    Raises:
        UsageError: if the task cannot be, with the reason: its data, its model, its options.
    """
    kind = KINDS[modality]
    try:
        task = load(tasks, modality).task(options, allow_code=allow_code)
    except _UNREACHABLE:
        return None
    except UsageError:
        raise
    except AutoloraError:
        return None
    found = outside(task.model(), task.head)
    return next((name for name in kind.spaces if _fits(name, found)), None) or _made_up(found)


def usual_space(modality: str, objective: str) -> str:
    """The space for a model that nobody has looked at."""
    return _USUAL.get(objective, KINDS[modality].spaces[0])


def _fits(name: str, found: Sequence[Target]) -> bool:
    try:
        named(name).resolve(found)
    except UsageError:
        return False
    return True


def _made_up(found: Sequence[Target]) -> dict[str, Any]:
    """One rank for each kind of matrix that is large enough."""
    small = {target.kind for target in found if target.max_rank < _HIGHEST}
    kinds = sorted({target.kind for target in found} - small - set(_PLAIN))
    return {
        "name": "kinds",
        "ranks": [0, 1, 2, 4, _HIGHEST],
        "groups": [{"name": "weights", "kinds": kinds, "per": "kind"}],
        "training": {"learning_rate": {"low": 0.0005, "high": 0.01}},
    }
