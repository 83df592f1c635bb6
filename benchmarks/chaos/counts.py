"""What is counted of a study after a fault."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from autolora.errors import StorageUnavailable
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
        twice: Configurations trained more than once to a result, or proposed again after one.
        exact: Whether the results are exactly as many as the budget and the baselines.
        hit: Attempts that a fault ended: their worker died, or its lease ran out.
        also: What else must hold, by what is said of it.
    """

    runs: int
    lost: int
    duplicates: int
    running: int
    twice: int
    exact: bool
    hit: int
    also: Mapping[str, bool] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        bad = self.lost + self.duplicates + self.running + self.twice
        return not bad and self.exact and all(self.also.values())


def counted(place: Place, runs: int, also: Mapping[str, bool]) -> Counts:
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
    results = [_what(row) for row in rows if row.state == "complete"]
    again = Counter(t.user_attrs["retry_of"] for t in told if "retry_of" in t.user_attrs)
    return Counts(
        runs=runs,
        lost=max(0, place.trials - search) + max(0, ARMS - others),
        duplicates=sum(count - 1 for count in again.values()),
        running=sum(t.state.name == "RUNNING" for t in told),
        twice=len(results) - len(set(results)),
        exact=(search, others) == (place.trials, ARMS),
        hit=sum(kind in ("died", "expired") for kind in kinds),
        also=also,
    )


def total(found: Sequence[Counts], also: Mapping[str, bool]) -> Counts:
    """Several studies together."""
    return Counts(
        runs=sum(each.runs for each in found),
        lost=sum(each.lost for each in found),
        duplicates=sum(each.duplicates for each in found),
        running=sum(each.running for each in found),
        twice=sum(each.twice for each in found),
        exact=all(each.exact for each in found),
        hit=sum(each.hit for each in found),
        also=also,
    )


def ended(place: Place) -> int:
    """How many trials have a result; 0 while there is no study."""
    try:
        storage = open_storage(place.url, create=False)
    except StorageUnavailable:  # it is only being made
        return 0
    try:
        store = Store(storage, "sums")
        return sum(r.state == "complete" for r in store.trials()) if store.exists() else 0
    finally:
        storage.close()


def _what(row: Any) -> str:
    return str((sorted(row.allocation.items()), sorted(row.configuration.items())))


def answer(place: Place) -> str:
    """The answer of a study: what was trained and what came of it, the best, and every final."""
    storage = open_storage(place.url, create=False)
    results = Store(storage, "sums").results()
    storage.close()
    trained = sorted((r.arm, _what(r), r.loss) for r in results.trials if r.state == "complete")
    best = results.trials[results.best] if results.best is not None else None
    finals = sorted((f.arm, f.seed, f.metric, f.value) for f in results.finals)
    return str((best and _what(best), finals, trained))
