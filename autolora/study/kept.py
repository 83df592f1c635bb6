"""The adapters that a study keeps: one for each arm, that of its best trial."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from autolora.artifacts.adapter import Adapter
from autolora.study.records import adapters, studies, trials
from autolora.study.storage import Storage


def keep(connection: Connection, study: str, number: int, adapter: Adapter) -> bool:
    """Keeps the adapter of a complete trial if it is the best of its arm, in one statement.

    An equal one does not replace the earlier.
    """
    of = select(trials.c.arm, trials.c.objectives)
    here = (trials.c.study == study) & (trials.c.number == number)
    trial = connection.execute(of.where(here)).one()
    directions = select(studies.c.directions).where(studies.c.name == study)
    sign = 1 if connection.execute(directions).scalar_one()[0] == "minimize" else -1
    row = {
        "study": study,
        "arm": trial.arm,
        "trial": number,
        "score": sign * trial.objectives[0],
        "digest": adapter.digest,
        "parameters": adapter.parameters,
        "allocation": dict(adapter.allocation),
        "tensors": adapter.to_bytes(),
    }
    return _replace_if_better(connection, row)


def copy(connection: Connection, study: str, number: int, other: int) -> None:
    """Keeps the adapter of another trial for one that reuses its result, if it is still there."""
    there = (adapters.c.study == study) & (adapters.c.trial == other)
    row = connection.execute(select(adapters).where(there)).mappings().first()
    here = (trials.c.study == study) & (trials.c.number == number)
    arm = connection.execute(select(trials.c.arm).where(here)).scalar_one()
    if row:
        _replace_if_better(connection, {**row, "arm": arm, "trial": number})


def stored(storage: Storage, study: str, number: int) -> bytes | None:
    """The adapter file of a trial, if it is one that was kept."""
    here = (adapters.c.study == study) & (adapters.c.trial == number)
    with storage.engine.connect() as connection:
        return connection.execute(select(adapters.c.tensors).where(here)).scalar()


def _replace_if_better(connection: Connection, row: Mapping[str, Any]) -> bool:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = dialect.insert(adapters).values(**row)
    best = new.on_conflict_do_update(
        index_elements=[adapters.c.study, adapters.c.arm],
        set_={name: new.excluded[name] for name in row if name not in ("study", "arm")},
        where=new.excluded.score < adapters.c.score,
    )
    return connection.execute(best).rowcount > 0
