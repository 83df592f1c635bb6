"""Several beginnings of a run, side by side: the best one goes on."""

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from autolora.errors import Diverged
from autolora.nested.truncated import Sample, Truncated
from autolora.spending.journal import Entry
from autolora.spending.stage import Stage
from autolora.spending.work import Left, Work
from autolora.training.checkpoint import Checkpoint
from autolora.training.curve import Ledger
from autolora.training.fit import Run, begin


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
    work: Work, stage: str, runs: Mapping[str, Run], shown: Sample, about: Iterable[Any]
) -> Tried:
    """Trains each run to its end, judges it on some examples, and keeps where the best stands.

    What the best cost is left to the run that goes on from it.

    Args:
        work: Pays for it.
        stage: The line of the ledger.
        runs: Short runs by name.
        shown: Batches that judge.
        about: Plain data that decide the runs.
    """

    def compute() -> Entry:
        began = time.perf_counter()
        judged: dict[str, float] = {}
        passes, best = 0, None
        for name, run in runs.items():
            try:
                first = begin(run, work.shared, run.settings.steps)
            except Diverged:
                passes += work.terms.passes(run.settings.steps, 0)
                continue
            seen = Truncated(first.adapter, work.terms.task, run.settings)
            loss = seen.losses(first.adapter.allocation, shown).mean
            passes += first.ledger.example_passes + seen.example_passes
            judged[name] = loss if math.isfinite(loss) else math.inf
            if best is None or judged[name] < judged[best[0]]:
                best = (name, first)
        if best is None:
            return Entry(Stage(stage, passes, time.perf_counter() - began), {"judged": {}})
        ledger = best[1].ledger
        data = {"judged": judged, "best": best[0], "ledger": asdict(ledger)}
        spent = Stage(stage, passes - ledger.example_passes, time.perf_counter() - began)
        return Entry(spent, data, best[1].checkpoint.to_bytes())

    entry = work.settled(stage, compute, *about)
    if entry.adapter is None:
        return Tried({}, None, None)
    left = Left(Checkpoint.from_bytes(entry.adapter), Ledger(**entry.data["ledger"]))
    return Tried(entry.data["judged"], entry.data["best"], left)
