"""Several beginnings of a run, side by side: the best one goes on."""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from autolora.errors import Diverged
from autolora.nested.race import surely_worse
from autolora.nested.truncated import Losses, Sample, Truncated
from autolora.spending.journal import Entry
from autolora.spending.stage import Stage
from autolora.spending.work import Left, Work
from autolora.training.checkpoint import Checkpoint
from autolora.training.curve import Ledger
from autolora.training.fit import Begun, Run, begin


@dataclass(frozen=True)
class Judged:
    """What decides between beginnings.

    Attributes:
        shown: Batches that judge.
        preferred: Names, the most welcome first: the first of those that are not surely worse than
            the best is taken. Without any, the lowest loss is.
    """

    shown: Sample
    preferred: Sequence[str] = ()

    def best(self, losses: Mapping[str, Losses]) -> str | None:
        """The one that goes on; None if there are none."""
        if not losses:
            return None
        lowest = min(losses, key=lambda name: _finite(losses[name]))
        close = (n for n in self.preferred if n in losses and math.isfinite(losses[n].mean))
        return next((n for n in close if not surely_worse(losses[n], losses[lowest])), lowest)


@dataclass(frozen=True)
class Tried:
    """How each beginning did, and where the best of them stands.

    Attributes:
        judged: The loss of each on the same examples; those that diverged are left out.
        best: The name of the best; None if all diverged.
        left: Where the best stands, to be gone on with.
    """

    judged: Mapping[str, float]
    best: str | None
    left: Left | None


def tried(
    work: Work, stage: str, runs: Mapping[str, Run], judged: Judged, about: Iterable[Any]
) -> Tried:
    """Trains each run to its end, judges it on some examples, and keeps where the best stands.

    What the best cost is left to the run that goes on from it.

    Args:
        work: Pays for it.
        stage: The line of the ledger.
        runs: Short runs by name.
        judged: What decides.
        about: Plain data that decide the runs.
    """

    def compute() -> Entry:
        began = time.perf_counter()
        losses: dict[str, Losses] = {}
        ends: dict[str, Begun] = {}
        passes = 0
        for name, run in runs.items():
            try:
                ends[name] = begin(run, work.shared, run.settings.steps)
            except Diverged:
                passes += work.terms.passes(run.settings.steps, 0)
                continue
            adapter = ends[name].adapter
            seen = Truncated(adapter, work.terms.task, run.settings)
            losses[name] = seen.losses(adapter.allocation, judged.shown)
            passes += ends[name].ledger.example_passes + seen.example_passes
        best = judged.best(losses)
        if best is None:
            return Entry(Stage(stage, passes, time.perf_counter() - began), {"judged": {}})
        ledger = ends[best].ledger
        means = {name: _finite(each) for name, each in losses.items()}
        data = {"judged": means, "best": best, "ledger": asdict(ledger)}
        spent = Stage(stage, passes - ledger.example_passes, time.perf_counter() - began)
        return Entry(spent, data, ends[best].checkpoint.to_bytes())

    entry = work.settled(stage, compute, *about)
    if entry.adapter is None:
        return Tried({}, None, None)
    left = Left(Checkpoint.from_bytes(entry.adapter), Ledger(**entry.data["ledger"]))
    return Tried(entry.data["judged"], entry.data["best"], left)


def _finite(losses: Losses) -> float:
    return losses.mean if math.isfinite(losses.mean) else math.inf
