"""A study in the database: all that workers write and reports read."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from sqlalchemy import delete, insert, select

from autolora.artifacts.adapter import Adapter
from autolora.errors import NameTaken, NoSuchStudy, OtherStudy
from autolora.registry import nearest
from autolora.spending import Found
from autolora.study import asking, kept, reclaim, summary, trials, worked
from autolora.study.entries import Claim, Outcome, Plan, StudyRecord
from autolora.study.quiet import quiet
from autolora.study.records import OF_A_STUDY, studies
from autolora.study.results import FinalRow, Results, TrialRow
from autolora.study.storage import Storage, study_names
from autolora.training.answers import Answers
from autolora.training.curve import CurvePoint, Ledger

_PARTS = "batch_parts"


class Store:
    """One study of a database.

    Everything goes through the database, so any number of processes may hold the same study.

    Raises:
        StorageUnavailable: from every method, when the disk or the server fails.
        NoSuchStudy: from every method but `create` and `exists`, if there is no such study.
    """

    def __init__(self, storage: Storage, name: str) -> None:
        self.storage = storage
        self.name = name

    # The study ------------------------------------------------------------------------------

    def create(self, record: StudyRecord) -> None:
        """Creates the study; when it is there already with the same digest, nothing changes.

        Raises:
            OtherStudy: if another study is stored under the name.
            NameTaken: if the name is that of a study outside autolora.
        """
        with self.storage.errors(), self.storage.turn():
            optunas = optuna.get_all_study_names(self.storage.optuna)
            if self.exists():
                stored = self.record()
                if stored.digest != record.digest:
                    raise _other(self.name, stored.description, record.description)
                if self.name in optunas:
                    return
                # Deleted in Optuna's dashboard: what we hold of it belongs to nothing any more.
                self._delete_ours()
            elif self.name in optunas:
                raise NameTaken(self.name)
            with self.storage.engine.begin() as connection:
                row = {"name": self.name, "created": time.time(), **record.row()}
                connection.execute(insert(studies).values(**row))
            self._create_optunas(record)

    def _create_optunas(self, record: StudyRecord) -> None:
        with quiet():
            study = optuna.create_study(
                study_name=self.name, storage=self.storage.optuna, directions=record.directions
            )
            study.set_metric_names(list(record.objective))

    def exists(self) -> bool:
        """Whether the database holds a study of this name."""
        return self.name in study_names(self.storage)

    def record(self) -> StudyRecord:
        """The study as it was created."""
        here = studies.c.name == self.name
        with self.storage.errors(), self.storage.engine.connect() as connection:
            row = connection.execute(select(studies).where(here)).mappings().first()
        if row is None:
            known = study_names(self.storage)
            near = nearest(self.name, known) or known[-3:]
            raise NoSuchStudy(self.name, near, self.storage.where)
        return StudyRecord.of(dict(row))

    def description(self) -> Mapping[str, Any]:
        """The description that the study was created with."""
        return self.record().description

    def delete(self) -> None:
        """Deletes the study with everything that belongs to it, Optuna's part too."""
        self.record()
        with self.storage.errors(), self.storage.turn():
            if self.name in optuna.get_all_study_names(self.storage.optuna):
                optuna.delete_study(study_name=self.name, storage=self.storage.optuna)
            self._delete_ours()

    def optuna_study(
        self,
        sampler: optuna.samplers.BaseSampler | None = None,
        pruner: optuna.pruners.BasePruner | None = None,
    ) -> optuna.Study:
        """The study as Optuna's; without a sampler and a pruner it is for reading only."""
        with self.storage.errors():
            self.record()
            try:
                return optuna.load_study(
                    study_name=self.name,
                    storage=self.storage.optuna,
                    sampler=sampler,
                    pruner=pruner,
                )
            except KeyError:
                raise NoSuchStudy(self.name, (), self.storage.where) from None

    # Trials ---------------------------------------------------------------------------------

    def ask(
        self, study: optuna.Study, distributions: Mapping[str, BaseDistribution]
    ) -> optuna.Trial:
        """The next trial, from the queue or the sampler of `study`, bound to this process."""
        with self.storage.errors():
            return asking.ask(self.storage, study, distributions)

    def begin(self, number: int) -> bool:
        """Binds a trial that was asked for elsewhere; False if another process has it."""
        with self.storage.errors():
            return asking.begin(self.storage, self.name, number)

    def claim(self, number: int, plan: Plan) -> Claim:
        """Records what a trial is to train, and says whether another one did or does train it.

        "new": train it. "finished": `reuse` the result of the trial named. "running": wait, call
        `reclaim` and ask again.
        """
        with self.storage.errors():
            return trials.claim(self.storage, self.name, number, plan)

    def reuse(self, number: int, other: int) -> bool:
        """Finishes a trial with the stored result of another; False if it was taken away."""
        with self.storage.errors():
            return trials.reuse(self.storage, self.name, number, other)

    def curve(self, number: int, points: Sequence[CurvePoint]) -> bool:
        """Adds points to a trial's curve, once each; False if the trial was taken away."""
        with self.storage.errors():
            return trials.curve(self.storage, self.name, number, points)

    def finish(self, number: int, outcome: Outcome, adapter: Adapter | None = None) -> bool:
        """Stores a result and tells Optuna; the adapter is kept if it is the best of its arm.

        False, with nothing written, if the trial was taken away meanwhile. A complete outcome
        whose objectives are no finite numbers is stored as failed: "diverged".
        """
        with self.storage.errors():
            return trials.finish(self.storage, self.name, number, outcome, adapter)

    def release(self, number: int, reason: str = "interrupted") -> None:
        """Gives up a running trial: it has failed, and what it tried is enqueued again."""
        with self.storage.errors():
            reclaim.release(self.storage, self.name, number, reason)

    def parts(self) -> int:
        """Into how many smaller ones batches are divided, as the study found that they must be."""
        with self.storage.errors():
            return int(self.optuna_study().user_attrs.get(_PARTS, 1))

    def divide(self, parts: int) -> None:
        """Remembers that batches must be divided into so many smaller ones, or more."""
        with self.storage.errors(), self.storage.turn():
            study = self.optuna_study()
            study.set_user_attr(_PARTS, max(parts, study.user_attrs.get(_PARTS, 1)))

    def journal(self) -> worked.StoredJournal:
        """What strategies that do their own work have done in this study."""
        return worked.StoredJournal(self.storage, self.name)

    def found(self, arm: str, seed: int, found: Found) -> None:
        """Stores the ledger of a strategy at a seed, and what led to its adapter."""
        with self.storage.errors():
            worked.write_work(self.storage, self.name, arm, seed, found)

    def losses(self, arm: str, seed: int, answers: Answers) -> None:
        """Stores the loss of every test example under an arm at a seed."""
        with self.storage.errors():
            worked.write_losses(self.storage, self.name, arm, seed, answers)

    def reclaim(self) -> list[int]:
        """Releases every running trial whose process is gone, and gives their numbers.

        A result that such a process stored without telling Optuna is told now.
        """
        with self.storage.errors():
            return reclaim.reclaim(self.storage, self.name)

    def adapter(self, number: int) -> bytes | None:
        """The adapter file of a trial, if it is the best of its arm."""
        with self.storage.errors(), self.storage.engine.connect() as connection:
            return kept.tensors(connection, self.name, number)

    # What came out --------------------------------------------------------------------------

    def final(self, row: FinalRow) -> bool:
        """Stores a measurement on the test split; False if it was measured before."""
        with self.storage.errors():
            return summary.write_final(self.storage, self.name, row)

    def finals(self) -> tuple[FinalRow, ...]:
        """The measurements on the test split."""
        with self.storage.errors():
            return summary.read_finals(self.storage, self.name)

    def spent(self) -> Ledger:
        """What all trials cost together; the peak is the highest of any."""
        with self.storage.errors():
            return summary.spent(self.storage, self.name)

    def trials(self) -> tuple[TrialRow, ...]:
        """The trials of `results`, without the cost of what is computed from them."""
        with self.storage.errors():
            told = self.optuna_study().get_trials(deepcopy=False)
            return summary.trial_rows(self.storage, self.name, told)

    def results(self) -> Results:
        """Everything that the study stored, as plain data."""
        with self.storage.errors():
            return summary.results(self.storage, self.optuna_study(), self.record())

    def _delete_ours(self) -> None:
        with self.storage.engine.begin() as connection:
            for table in OF_A_STUDY:
                connection.execute(delete(table).where(table.c.study == self.name))
            connection.execute(delete(studies).where(studies.c.name == self.name))


def _other(name: str, stored: Mapping[str, Any], new: Mapping[str, Any]) -> OtherStudy:
    """Names the first value in which two descriptions differ, by its dotted path."""
    path, old, value = _difference("", stored, new) or ("digest", "another", "this")
    return OtherStudy(name, path, old, value)


def _difference(path: str, old: Any, new: Any) -> tuple[str, Any, Any] | None:
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        return None if old == new else (path, old, new)
    for key in dict.fromkeys((*new, *old)):
        below = f"{path}.{key}" if path else str(key)
        found = _difference(below, old.get(key), new.get(key))
        if found:
            return found
    return None
