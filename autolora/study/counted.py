"""How much of a phase is done, told with the events of its workers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from autolora.study import confirm
from autolora.study.description import StudySpec
from autolora.study.race import SEARCH
from autolora.study.store import Store


@dataclass(frozen=True)
class Counted:
    """Passes events on to a listener; after a trial or a measurement with the new count."""

    spec: StudySpec
    store: Store
    phase: str
    listen: Callable[[Mapping[str, Any]], None]

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Passes an event on."""
        if event["event"] in ("trial", "confirmed"):
            count = self._trials() if self.phase == "search" else self._measurements()
            event = {**event, "phase": self.phase, **count}
        self.listen(event)

    def _trials(self) -> dict[str, int | None]:
        """Ended trials, of the baselines and the budget together."""
        rows = self.store.trials()
        baselines = sum(trial.arm != SEARCH for trial in rows)
        ended = sum(trial.state in ("complete", "pruned", "failed") for trial in rows)
        trials = self.spec.budget.trials
        return {"done": ended, "total": baselines + trials if trials else None}

    def _measurements(self) -> dict[str, int | None]:
        """Arms measured at a seed, of all that are to be."""
        results = self.store.results()
        left = len(confirm.jobs(self.spec, results))
        done = len({(final.arm, final.seed) for final in results.finals})
        return {"done": done, "total": done + left}
