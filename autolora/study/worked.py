"""What strategies that do their own work write into the database, and read from it."""

import itertools
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sqlalchemy import RowMapping, delete, insert, select
from sqlalchemy.exc import IntegrityError
from torch import Tensor

from autolora.spending.found import Found
from autolora.spending.journal import Entry, Evaluation
from autolora.spending.stage import Stage
from autolora.study import records
from autolora.study.records import losses, stages, works
from autolora.study.results import FloatArray, LossRow, WorkRow
from autolora.study.retry import patiently
from autolora.study.storage import Storage
from autolora.training.answers import Answers


@dataclass(frozen=True)
class StoredJournal:
    """The journal of a study; every process of it sees the same."""

    storage: Storage
    study: str

    def find(self, key: str) -> Entry | None:
        """The entry of a key, if that is done."""
        here = (stages.c.study == self.study) & (stages.c.key == key)

        def look() -> RowMapping | None:
            with self.storage.engine.connect() as connection:
                return connection.execute(select(stages).where(here)).mappings().first()

        row = patiently(self.storage, look)
        if row is None:
            return None
        stage = Stage(row["name"], row["example_passes"], row["seconds"])
        return Entry(stage, row["data"], row["adapter"])

    def keep(self, key: str, entry: Entry) -> None:
        """Keeps what was done; the first entry of a key stands."""
        row = {
            "study": self.study,
            "key": key,
            **asdict(entry.stage),
            "data": json.loads(json.dumps(dict(entry.data))),
            "adapter": entry.adapter,
            "kept": time.time(),
        }
        patiently(self.storage, lambda: _insert(self.storage, stages, [row]))

    def adapters(self, name: str) -> tuple[bytes, ...]:
        """What stages of a name have kept: the content of adapter files."""
        here = (stages.c.study == self.study) & (stages.c.name == name)
        query = select(stages.c.adapter).where(here, stages.c.adapter.is_not(None))
        with self.storage.engine.connect() as connection:
            return tuple(connection.scalars(query))

    def evaluated(self, stage: str, evaluations: Sequence[Evaluation]) -> None:
        """Keeps the evaluations of a stage, each once."""
        rows = [_evaluation(self.study, stage, each) for each in evaluations]
        tries = itertools.count()

        def write() -> None:
            # No key tells them apart: where an answer got lost, those that are there are left out.
            known = self._known(stage) if next(tries) else set()
            left = [row for row in rows if (row["allocation"], row["sample"]) not in known]
            _insert(self.storage, records.evaluations, left)

        patiently(self.storage, write)

    def _known(self, stage: str) -> set[tuple[str, str]]:
        """The evaluations of a stage that are kept."""
        of = records.evaluations.c
        query = select(of.allocation, of.sample).where(of.study == self.study, of.stage == stage)
        with self.storage.engine.connect() as connection:
            return {(row.allocation, row.sample) for row in connection.execute(query)}


def write_work(storage: Storage, study: str, arm: str, seed: int, found: Found) -> None:
    """Stores ledger and reasons of what was found; the first stands."""
    ledger = [asdict(stage) for stage in found.ledger]
    about = json.loads(json.dumps(dict(found.about)))
    row = {"study": study, "arm": arm, "seed": seed, "ledger": ledger, "about": about}
    _insert(storage, works, [row])


def read_works(storage: Storage, study: str) -> tuple[WorkRow, ...]:
    """What strategies found, by arm and seed."""
    query = select(works).where(works.c.study == study).order_by(works.c.arm, works.c.seed)
    with storage.engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    return tuple(
        WorkRow(r["arm"], r["seed"], tuple(Stage(**s) for s in r["ledger"]), r["about"])
        for r in rows
    )


def write_losses(storage: Storage, study: str, arm: str, seed: int, answers: Answers) -> None:
    """Stores the loss of every test example, in the place of what was measured before."""
    row = {"losses": _blob(answers.losses), "weights": _blob(answers.weights)}
    here = (losses.c.study == study) & (losses.c.arm == arm) & (losses.c.seed == seed)
    with storage.engine.begin() as connection:
        connection.execute(delete(losses).where(here))
        connection.execute(insert(losses).values(study=study, arm=arm, seed=seed, **row))


def read_losses(storage: Storage, study: str) -> tuple[LossRow, ...]:
    """The losses of single test examples, by arm and seed."""
    query = select(losses).where(losses.c.study == study).order_by(losses.c.arm, losses.c.seed)
    with storage.engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    return tuple(
        LossRow(r["arm"], r["seed"], _numbers(r["losses"]), _numbers(r["weights"])) for r in rows
    )


def _blob(values: Tensor) -> bytes:
    return bytes(values.double().cpu().numpy().astype("<f8").tobytes())


def _numbers(blob: bytes) -> FloatArray:
    return np.frombuffer(blob, dtype="<f8")  # as it lies there: results are read often


def _evaluation(study: str, stage: str, each: Evaluation) -> dict[str, Any]:
    row = {"study": study, "stage": stage, "allocation": each.allocation, "sample": each.sample}
    return {
        **row,
        "loss": each.loss if np.isfinite(each.loss) else None,
        "examples": each.examples,
        "example_passes": each.example_passes,
    }


def _insert(storage: Storage, table: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts rows; those that are there already stay as they are."""
    if not rows:
        return
    try:
        with storage.engine.begin() as connection:
            connection.execute(insert(table), list(rows))
    except IntegrityError:
        return
