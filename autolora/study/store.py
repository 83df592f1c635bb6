"""A study in the database: all that workers write and reports read."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import optuna
from optuna.distributions import BaseDistribution
from sqlalchemy import delete, insert, select, update

from autolora.artifacts.adapter import Adapter
from autolora.errors import NameTaken, NoSuchStudy
from autolora.registry import nearest
from autolora.spending import Found
from autolora.study import asking, kept, reclaim, standing, summary, trials, worked
from autolora.study.asking import Asked
from autolora.study.differing import other_study
from autolora.study.entries import Claim, Outcome, Plan, StudyRecord
from autolora.study.lease import Tenure
from autolora.study.quiet import quiet
from autolora.study.records import OF_A_STUDY, studies
from autolora.study.results import FinalRow, Results, TrialRow
from autolora.study.retry import patiently
from autolora.study.storage import Storage, study_names
from autolora.training.answers import Answers
from autolora.training.curve import CurvePoint, Ledger
from autolora.training.midway import Midway

_PARTS = "batch_parts"
_USUAL = Tenure()
Result = TypeVar("Result")


class Store:
    """One study of a database.

    Everything goes through the database, so any number of processes may hold the same study.

    Raises:
        StorageUnavailable: from every method, when the disk or the server fails; only after
            AUTOLORA_STORAGE_PATIENCE seconds if the server is away or the file is locked.
        NoSuchStudy: from every method but `create` and `exists`, if there is no such study.
    """

    def __init__(self, storage: Storage, name: str, tenure: Tenure = _USUAL) -> None:
        self.storage = storage
        self.name = name
        self.tenure = tenure

    # The study ------------------------------------------------------------------------------

    def create(self, record: StudyRecord) -> None:
        """Creates the study; when it is there already with the same digest, it goes on.

        Of its description, the budget and where it runs may be others than before.

        Raises:
            OtherStudy: if another study is stored under the name.
            NameTaken: if the name is that of a study outside autolora.
        """
        self._patiently(lambda: self._create(record))

    def _create(self, record: StudyRecord) -> None:
        with self.storage.turn():
            optunas = optuna.get_all_study_names(self.storage.optuna)
            if self.exists():
                stored = self.record()
                if stored.digest != record.digest:
                    raise other_study(self.name, stored.description, record.description)
                if self.name in optunas:
                    self._describe(stored, record)
                    return
                # Deleted in Optuna's dashboard: what we hold of it belongs to nothing any more.
                self._delete_ours()
            elif self.name in optunas:
                raise NameTaken(self.name)
            with self.storage.engine.begin() as connection:
                row = {"name": self.name, "created": time.time(), **record.row()}
                connection.execute(insert(studies).values(**row))
            self._create_optunas(record)

    def _describe(self, stored: StudyRecord, record: StudyRecord) -> None:
        """What may change has: workers that join read how long the study goes on now."""
        if stored.description != record.description:
            here = studies.c.name == self.name
            with self.storage.engine.begin() as connection:
                row = {"description": dict(record.description)}
                connection.execute(update(studies).where(here).values(row))

    def _create_optunas(self, record: StudyRecord) -> None:
        with quiet():
            study = optuna.create_study(
                study_name=self.name, storage=self.storage.optuna, directions=record.directions
            )
            study.set_metric_names(list(record.objective))

    def exists(self) -> bool:
        """Whether the database holds a study of this name."""
        return self._patiently(lambda: self.name in study_names(self.storage))

    def record(self) -> StudyRecord:
        """The study as it was created."""
        return self._patiently(self._record)

    def _record(self) -> StudyRecord:
        here = studies.c.name == self.name
        with self.storage.engine.connect() as connection:
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

        def delete_it() -> None:
            with self.storage.turn():
                if self.name in optuna.get_all_study_names(self.storage.optuna):
                    optuna.delete_study(study_name=self.name, storage=self.storage.optuna)
                self._delete_ours()

        self._patiently(delete_it)

    def optuna_study(
        self,
        sampler: optuna.samplers.BaseSampler | None = None,
        pruner: optuna.pruners.BasePruner | None = None,
    ) -> optuna.Study:
        """The study as Optuna's; without a sampler and a pruner it is for reading only."""

        def load() -> optuna.Study:
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

        return self._patiently(load)

    # Trials ---------------------------------------------------------------------------------

    def ask(
        self,
        study: optuna.Study,
        distributions: Mapping[str, BaseDistribution],
        asked: Asked | None = None,
    ) -> optuna.Trial:
        """The next trial, from the queue or the sampler of `study`, bound to this process.

        `asked` is what this ask has done before, where the caller repeats it.
        """
        asked = asked or Asked()
        tenure = self.tenure
        return self._patiently(
            lambda: asking.ask(self.storage, study, distributions, tenure, asked)
        )

    def begin(self, number: int) -> bool:
        """Binds a trial that was asked for elsewhere; False if another process has it."""
        return self._do(asking.begin, number, self.tenure, Asked())

    def claim(self, number: int, plan: Plan) -> Claim:
        """Records what a trial is to train, and says whether another one did or does train it.

        "new": train it. "finished": `reuse` the result of the trial named. "running": wait, call
        `reclaim` and ask again.

        Raises:
            TakenAway: if the trial is not this worker's any more.
        """
        return self._do(trials.claim, number, plan, self.tenure)

    def reuse(self, number: int, other: int) -> bool:
        """Finishes a trial with the stored result of another; False if it was taken away."""
        return self._do(trials.reuse, number, other)

    def curve(self, number: int, points: Sequence[CurvePoint]) -> bool:
        """Adds points to a trial's curve, once each; False if the trial was taken away."""
        return self._do(trials.curve, number, points, self.tenure)

    def keep(self, number: int, digest: str, midway: Midway) -> bool:
        """Keeps where a trial with a plan stands; False if the trial was taken away."""
        return self._do(standing.keep, number, digest, midway, self.tenure)

    def stands(self, number: int, digest: str) -> Midway | None:
        """Where a trial with a plan stands, or the one that it tries again; None at its start."""
        return self._do(standing.find, number, digest)

    def finish(
        self,
        number: int,
        outcome: Outcome,
        adapter: Adapter | None = None,
        points: Sequence[CurvePoint] = (),
    ) -> bool:
        """Stores a result and tells Optuna; the adapter is kept if it is the best of its arm.

        `points` are those of the curve that were not stored yet. False, with nothing written, if
        the trial was taken away meanwhile. A complete outcome whose objectives are no finite
        numbers is stored as failed: "diverged".
        """
        return self._do(trials.finish, number, outcome, adapter, points)

    def release(self, number: int, reason: str = "interrupted") -> None:
        """Gives up a running trial: it has failed, and what it tried is enqueued again."""
        self._do(reclaim.release, number, reason, self.tenure)

    def explain(self, number: int, reason: str) -> None:
        """Says why the worker of a trial died, where it was known only that it did."""
        self._do(reclaim.explain, number, reason)

    def parts(self) -> int:
        """Into how many smaller ones batches are divided, as the study found that they must be."""
        return self._patiently(lambda: int(self.optuna_study().user_attrs.get(_PARTS, 1)))

    def divide(self, parts: int) -> None:
        """Remembers that batches must be divided into so many smaller ones, or more."""

        def divide_it() -> None:
            with self.storage.turn():
                study = self.optuna_study()
                study.set_user_attr(_PARTS, max(parts, study.user_attrs.get(_PARTS, 1)))

        self._patiently(divide_it)

    def journal(self) -> worked.StoredJournal:
        """What strategies that do their own work have done in this study."""
        return worked.StoredJournal(self.storage, self.name)

    def stage_adapters(self, name: str) -> tuple[bytes, ...]:
        """The adapter files that stages of a name have kept."""
        return self._patiently(lambda: self.journal().adapters(name))

    def found(self, arm: str, seed: int, found: Found) -> None:
        """Stores the ledger of a strategy at a seed, and what led to its adapter."""
        self._do(worked.write_work, arm, seed, found)

    def losses(self, arm: str, seed: int, answers: Answers) -> None:
        """Stores the loss of every test example under an arm at a seed."""
        self._do(worked.write_losses, arm, seed, answers)

    def reclaim(self) -> list[int]:
        """Releases every running trial whose process is gone, and gives their numbers.

        Gone is a process that is known to have ended, or whose lease has run out. A result that
        it stored without telling Optuna is told now.
        """
        return self._do(reclaim.reclaim, self.tenure)

    def adapter(self, number: int) -> bytes | None:
        """The adapter file of a trial, if it is the best of its arm."""
        return self._do(kept.stored, number)

    # What came out --------------------------------------------------------------------------

    def final(self, *rows: FinalRow) -> bool:
        """Stores measurements on the test split together; False if they were measured before."""
        return self._do(summary.write_finals, rows)

    def finals(self) -> tuple[FinalRow, ...]:
        """The measurements on the test split."""
        return self._do(summary.read_finals)

    def spent(self) -> Ledger:
        """What all trials cost together; the peak is the highest of any."""
        return self._do(summary.spent)

    def trials(self) -> tuple[TrialRow, ...]:
        """The trials of `results`, without the cost of what is computed from them."""

        def read() -> tuple[TrialRow, ...]:
            told = self.optuna_study().get_trials(deepcopy=False)
            return summary.trial_rows(self.storage, self.name, told)

        return self._patiently(read)

    def results(self) -> Results:
        """Everything that the study stored, as plain data."""
        return self._patiently(
            lambda: summary.results(self.storage, self.optuna_study(), self.record())
        )

    def _do(self, operation: Callable[..., Result], *arguments: Any) -> Result:
        """Does something in this study, again while the database is away."""
        return self._patiently(lambda: operation(self.storage, self.name, *arguments))

    def _patiently(self, operation: Callable[[], Result]) -> Result:
        return patiently(self.storage, operation)

    def _delete_ours(self) -> None:
        with self.storage.engine.begin() as connection:
            for table in OF_A_STUDY:
                connection.execute(delete(table).where(table.c.study == self.name))
            connection.execute(delete(studies).where(studies.c.name == self.name))
