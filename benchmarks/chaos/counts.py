"""What is counted of a study after a fault."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from autolora.study.records import attempts
from autolora.study.storage import open_storage
from autolora.study.store import Store
from benchmarks.chaos.place import Place

ARMS = 2  # baselines of the task: the head only, and one uniform rank


@dataclass(frozen=True)
class Counts:
    """What came of a fault.

    Attributes:
        runs: How often the fault was put.
        lost: Trials of the budget, and baselines, that have no result.
        duplicates: Trials of which two attempts have a result or wait.
        running: Trials left RUNNING.
        twice: Configurations trained more than once to a result.
        exact: Whether the results are exactly as many as the budget and the baselines.
        hit: Attempts that a fault ended: their worker died, or its lease ran out.
        also: What else must hold, by name.
    """

    runs: int
    lost: int
    duplicates: int
    running: int
    twice: int
    exact: bool
    hit: int
    also: dict[str, bool]

    @property
    def passed(self) -> bool:
        bad = self.lost + self.duplicates + self.running + self.twice
        return not bad and self.exact and all(self.also.values())


def counted(place: Place, runs: int, **also: bool) -> Counts:
    """Counts what the database of a place holds."""
    storage = open_storage(place.url, create=False)
    store = Store(storage, "sums")
    rows = store.results().trials
    told = store.optuna_study().get_trials(deepcopy=False)
    with storage.engine.connect() as connection:
        kinds = connection.scalars(select(attempts.c.kind)).all()
    storage.close()
    states = Counter((row.arm == "search", row.state) for row in rows)
    search, others = states[True, "complete"], states[False, "complete"]
    trained = [_what(row) for row in rows if row.state == "complete" and row.reused_from is None]
    again = Counter(t.user_attrs["retry_of"] for t in told if "retry_of" in t.user_attrs)
    return Counts(
        runs=runs,
        lost=max(0, place.trials - search) + max(0, ARMS - others),
        duplicates=sum(count - 1 for count in again.values()),
        running=sum(t.state.name == "RUNNING" for t in told),
        twice=len(trained) - len(set(trained)),
        exact=(search, others) == (place.trials, ARMS),
        hit=sum(kind in ("died", "expired") for kind in kinds),
        also=also,
    )


def ended(place: Place) -> int:
    """How many trials have a result; 0 while there is no study."""
    storage = open_storage(place.url)
    try:
        store = Store(storage, "sums")
        return sum(r.state == "complete" for r in store.trials()) if store.exists() else 0
    finally:
        storage.close()


def _what(row: Any) -> str:
    return str((sorted(row.allocation.items()), sorted(row.configuration.items())))


def answer(place: Place) -> str:
    """The final answer of a study: the best trial and what every arm was measured at."""
    storage = open_storage(place.url, create=False)
    results = Store(storage, "sums").results()
    storage.close()
    best = results.trials[results.best] if results.best is not None else None
    finals = sorted((f.arm, f.seed, f.metric, f.value) for f in results.finals)
    return str((best and _what(best), finals))
