"""What the database holds of a study now: what `status` is computed from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, Select, func, select

from autolora.study.description import StudySpec, described
from autolora.study.entries import StudyRecord
from autolora.study.joined import names
from autolora.study.material import fine_tune_passes
from autolora.study.records import attempts, stages
from autolora.study.results import Results
from autolora.study.retry import patiently
from autolora.study.sharing import claims
from autolora.study.store import Store
from autolora.study.wish import Wish, wish_of


@dataclass(frozen=True)
class AttemptRow:
    """A worker's try at a trial; `kind` says why it ended. Times are seconds since 1970."""

    trial: int
    attempt: int
    worker: str
    started: float
    seen: float
    ended: float | None
    state: str
    reason: str | None
    lease_until: float | None
    kind: str | None


@dataclass(frozen=True)
class Seen:
    """A study at one moment.

    Attributes:
        results: Its trials and measurements; nothing that takes long to compute.
        claims: Who measures what, by job.
        names: What workers are called that have a name.
        stages: How many stages strategies that do their own work have done, their example-passes
            and seconds.
        fine_tune: The example-passes of one run, where a worker noted them.
    """

    spec: StudySpec
    wish: Wish
    results: Results
    attempts: tuple[AttemptRow, ...]
    claims: Mapping[str, Any]
    names: Mapping[str, str]
    stages: tuple[int, int, float]
    fine_tune: int | None


def seen(store: Store) -> Seen:
    """Reads a study, in a few queries whatever its size."""
    record = store.record()
    return Seen(
        spec=described(record.description),
        wish=wish_of(store),
        results=_results(store, record),
        attempts=read_attempts(store),
        claims=claims(store),
        names=names(store),
        stages=_stages(store),
        fine_tune=fine_tune_passes(store),
    )


def read_attempts(store: Store) -> tuple[AttemptRow, ...]:
    """All attempts at trials, in the order in which they began."""
    columns = [attempts.c[name] for name in AttemptRow.__dataclass_fields__]
    here = (attempts.c.study == store.name) & attempts.c.trial.is_not(None)
    query = select(*columns).where(here).order_by(attempts.c.started)
    return tuple(AttemptRow(**row) for row in _read(store, query))


def _results(store: Store, record: StudyRecord) -> Results:
    return Results(
        name=store.name,
        description=record.description,
        targets=record.targets,
        objective=record.objective,
        directions=record.directions,
        budget_parameters=record.budget_parameters,
        head_parameters=record.head_parameters,
        trials=store.trials(),
        finals=store.finals(),
        importance={},
        groups=record.groups,
        best=None,
        versions=record.versions,
    ).current()


def _stages(store: Store) -> tuple[int, int, float]:
    totals = select(
        func.count().label("count"),
        func.coalesce(func.sum(stages.c.example_passes), 0).label("passes"),
        func.coalesce(func.sum(stages.c.seconds), 0.0).label("seconds"),
    ).where(stages.c.study == store.name)
    row = _read(store, totals)[0]
    return int(row["count"]), int(row["passes"]), float(row["seconds"])


def _read(store: Store, query: Select[Any]) -> Sequence[RowMapping]:
    def look() -> Sequence[RowMapping]:
        with store.storage.engine.connect() as connection:
            return connection.execute(query).mappings().all()

    return patiently(store.storage, look)
