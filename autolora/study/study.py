"""A study: the stored search, and everything one does with it."""

import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from autolora import backends
from autolora.artifacts.adapter import Adapter
from autolora.artifacts.folder import save
from autolora.errors import NoFeasibleTrial, NoSuchArm, StorageUnavailable
from autolora.registry import load
from autolora.study import remote
from autolora.study.counted import Counted
from autolora.study.delivery import deliver_quietly
from autolora.study.description import StudySpec, described, read_study
from autolora.study.entries import StudyRecord
from autolora.study.front import adapter_of, front, within
from autolora.study.preempted import preemptible
from autolora.study.progress import listener
from autolora.study.race import SEARCH, Race, sampler_of, works_of
from autolora.study.renewing import renewing
from autolora.study.results import FinalRow, Results, TrialRow
from autolora.study.retry import once
from autolora.study.session import Session
from autolora.study.storage import default_url, open_storage
from autolora.study.store import Store
from autolora.study.versions import versions
from autolora.study.wish import refuse_stopped, wish_of
from autolora.study.working import Assigned, stages_of

Listen = Callable[[Mapping[str, Any]], None]
_LOOK_SECONDS = 0.5  # between looks at trials that workers elsewhere still train
FORMATS = {"adapter": "autolora", "adapter-peft": "peft"}


def _silent(event: Mapping[str, Any]) -> None:
    del event


@dataclass(frozen=True)
class Best:
    """The winner: its trial, its adapter, and what it was measured at on the test split."""

    trial: TrialRow
    adapter: Adapter
    metrics: Mapping[str, FinalRow]


@dataclass(frozen=True)
class Study:
    """A stored search: created or opened, run, read, exported."""

    spec: StudySpec
    store: Store
    folder: Path
    allow_code: bool = False

    @classmethod
    def create(
        cls,
        study: str | Path | StudySpec,
        *,
        storage: str | None = None,
        folder: Path | None = None,
        allow_code: bool = False,
    ) -> "Study":
        """Creates the study of a description, or opens it if it is stored already.

        Everything that can be checked is checked first: nothing is written for a mistake. Code
        that the description names (`package.module:function`) runs only if it is allowed.

        Raises:
            UsageError: if the description, the space or the budget cannot be, or a strategy needs
                more compute than it is given.
            StorageUnavailable: if the database cannot be opened.
            DeadTargets: if the model does not use a target of the space.
        """
        spec = study if isinstance(study, StudySpec) else read_study(study)
        session = Session(spec, allow_code)
        session.check_metric()
        session.space.check_budget(session.budget_parameters)
        sampler_of(session)
        for strategy in works_of(spec).values():
            stages_of(Assigned(strategy), session)
        record = _record(session)
        folder = folder or Path("runs") / spec.name
        opened = open_storage(storage or default_url(folder))
        deliver_quietly(opened)
        store = Store(opened, spec.name, spec.backend.tenure)
        fresh = not store.exists()
        if fresh and spec.self_check:
            session.self_check()
        store.create(record)
        Race(session, store).open()
        return cls(spec, store, folder, allow_code)

    @classmethod
    def open(cls, name: str | Path, storage: str | None = None) -> "Study":
        """Opens a stored study by its name or its file; nothing is created.

        Raises:
            NoSuchStudy: if the database holds none of that name.
            StorageUnavailable: if there is no database.
        """
        name = read_study(name).name if str(name).endswith((".yaml", ".yml")) else str(name)
        folder = Path("runs") / name
        opened = open_storage(storage or default_url(folder), create=False)
        deliver_quietly(opened)
        spec = described(Store(opened, name).description())
        return cls(spec, Store(opened, name, spec.backend.tenure), folder)

    def run(self, listen: Listen = _silent, extras: Mapping[str, Any] | None = None) -> bool:
        """Runs the search to its end, or goes on with it: trials, then the confirmation.

        False if somebody stops the study before that. `extras` is what the backend takes in Python
        alone, as the callbacks of Ray Tune.

        Raises:
            StudyStopped: if it was stopped before.
            NoFeasibleTrial: if the budget ended and no trial has a result.
            KeyboardInterrupt: after the workers have noted what they leave behind.
        """
        refuse_stopped(self.store)
        backend = load(backends, self.spec.backend.name)
        place = remote.place_of(self.spec.backend, self.store, self.folder, extras or {})
        with remote.opened(backend, place, self.store.storage.url):
            return self.through(lambda phase: self._phase(phase, listen, place))

    def through(self, phase: Callable[[str], None]) -> bool:
        """Goes through the phases of a search, as often as is needed; False if it is stopped.

        Raises:
            NoFeasibleTrial: if the budget ended and no trial has a result.
        """
        self.store.reclaim()
        phase("search")
        while not self.stopped and self._unfinished():
            phase("search")
        if self.stopped:
            return False
        if not self.results().best_of_arms():
            raise NoFeasibleTrial.of(self.spec.name, len(self.results().trials))
        phase("confirm")
        return not self.stopped

    @property
    def stopped(self) -> bool:
        """Whether somebody stopped the study."""
        return wish_of(self.store) == "stop"

    def _unfinished(self) -> bool:
        """Waits for trials of workers elsewhere; whether any was left behind and waits again."""
        with renewing(self.store.storage, self.store.name, self.store.tenure):
            while any(trial.state == "running" for trial in self.store.trials()):
                self.store.reclaim()
                time.sleep(_LOOK_SECONDS)
        return any(trial.state == "waiting" for trial in self.store.trials())

    def results(self) -> Results:
        """What the study found so far, as plain data."""
        return self.store.results()

    @cached_property
    def best(self) -> Best:
        """The winner: the best arm on the validation split whose adapter keeps the budget.

        If the uniform allocation wins, it is the uniform allocation.

        Raises:
            NoFeasibleTrial: if no trial has a result yet.
        """
        results = self.results()
        if results.best is None:
            raise NoFeasibleTrial.of(self.spec.name, len(results.trials))
        return self._best(results, results.trials[results.best])

    def arm(self, name: str) -> Best:
        """The best trial of one arm.

        Raises:
            NoSuchArm: if the study has no such arm with a result.
        """
        results = self.results()
        arms = results.best_of_arms()
        if name not in arms:
            raise NoSuchArm(name, arms)
        return self._best(results, arms[name])

    def export(
        self,
        folder: str | Path,
        *,
        format: str = "autolora",  # noqa: A002
        arm: str | None = None,
        parameters: int | None = None,
    ) -> tuple[str, ...]:
        """Writes the adapter of the winner, or of an arm, with its model card.

        With `parameters`, it is the best adapter of at most that size of the arm's front: that of
        the search without an arm.

        Returns:
            The targets that the format keeps in a second file; see `autolora.save`.

        Raises:
            NoFront: if a size is asked for and the strategy trained one alone.
            NoSuchSize: if every adapter of the front is larger.
        """
        if parameters is not None:
            return save(self._sized(arm or SEARCH, parameters), folder, format=format)
        best = self.best if arm is None else self.arm(arm)
        adapter = replace(best.adapter, about=self._about(best))
        return save(adapter, folder, format=format)

    def _sized(self, arm: str, parameters: int) -> Adapter:
        """An adapter of a front. Its card holds no test values: it was never measured there."""
        best = self.arm(arm)
        size = within(front(self.results(), arm), parameters)
        about = {
            **self._about(best),
            "title": f"{self.spec.name}: the front at {size.parameters:,} parameters",
            "budget": f"{size.budget} adapter parameters",
            "learning_rate": size.learning_rate,
            "valid_loss": size.loss,
            "metrics": {},
        }
        return replace(adapter_of(self.store, size), about=about)

    def export_all(self) -> dict[str, str]:
        """Writes the winner in every format into the study's folder; gives the folders."""
        written = {}
        for name, form in FORMATS.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # said below, in the result
                beside = self.export(self.folder / name, format=form)
            note = (
                f" ({len(beside)} targets in a second file, for autolora alone)" if beside else ""
            )
            written[name] = f"{self.folder / name}{note}"
        return written

    def _best(self, results: Results, trial: TrialRow) -> Best:
        content = self.store.adapter(trial.number)
        assert content is not None, "the best trial of an arm keeps its adapter"
        seed = self.spec.seed
        finals = {f.metric: f for f in results.finals if (f.arm, f.seed) == (trial.arm, seed)}
        return Best(trial, Adapter.from_bytes(content), finals)

    def _phase(self, name: str, listen: Listen, place: backends.Place) -> None:
        backend = load(backends, self.spec.backend.name)
        watched = Counted(self.spec, self.store, name, listen)
        try:
            if hasattr(backend, "schedule"):
                self._scheduled(backend, name, watched, place)
            else:
                self._worked(backend, name, watched)
        finally:
            # Of workers that ended before they could say so; a database that is away can wait.
            with once(), suppress(StorageUnavailable):
                self.store.reclaim()

    def _worked(self, backend: Any, name: str, listen: Listen) -> None:
        """Lets workers find the work of a phase themselves."""
        payload = {
            "description": self.spec.model_dump(mode="json"),
            "url": self.store.storage.url,
            "allow_code": self.allow_code,
            "folder": str(self.folder.absolute()),
        }
        workers = self.spec.backend.workers
        backend.run(f"autolora.study.worker:{name}", payload, listen, workers=workers)

    def _scheduled(self, backend: Any, name: str, listen: Listen, place: backends.Place) -> None:
        """Hands out the work of a phase job by job."""
        store = self.store
        driven = remote.Driven(self.spec, store, self.allow_code, listen)
        with renewing(store.storage, store.name, store.tenure), preemptible():
            backend.schedule(driven.jobs(name), driven.payload(self.folder), listen, place)

    def _about(self, best: Best) -> dict[str, Any]:
        numbers = best.trial.configuration
        metrics = {
            f"test {name}": {"value": f.value, "low": f.low, "high": f.high}
            for name, f in best.metrics.items()
        }
        return {
            "title": f"{self.spec.name}: the adapter of trial {best.trial.number}",
            "study": f"{self.spec.name}, arm {best.trial.arm}, trial {best.trial.number}",
            "base_model": self.spec.task.get("model"),
            "data": _named(self.spec.task.get("data")),
            "budget": f"{self.results().budget_parameters} adapter parameters",
            "learning_rate": numbers.get("learning_rate"),
            "scale": f"{numbers.get('scale_rule')} {numbers.get('scale_value')}",
            "seeds": self.spec.seed,
            "valid_loss": best.trial.loss,
            "metrics": metrics,
            "versions": ", ".join(f"{n} {v}" for n, v in self.store.record().versions.items()),
        }


def _named(data: Any) -> Any:
    """Where the data of a task are, without columns and sizes."""
    return data.get("path") or data.get("train") if isinstance(data, Mapping) else data


def search(
    task: Mapping[str, Any],
    space: str | Mapping[str, Any],
    *,
    budget: Mapping[str, Any],
    storage: str | None = None,
    allow_code: bool = False,
    **description: Any,
) -> Study:
    """Searches ranks and placement for a task and gives the finished study, showing its progress.

    The arguments are those of a study file, in Python; see `StudySpec` for the rest of them.
    `autolora.figure` draws what was found.

    >>> study = autolora.search(
    ...     {"type": "image", "model": "mobilenet_v2", "data": "digits"},
    ...     "cnn",
    ...     budget={"trials": 20, "uniform_rank": 2},
    ... )  # doctest: +SKIP
    >>> study.best.adapter  # doctest: +SKIP
    """
    given = {"name": "search", **description, "task": task, "space": space, "budget": budget}
    study = Study.create(described(given), storage=storage, allow_code=allow_code)
    with listener() as listen:
        study.run(listen)
    return study


def _record(session: Session) -> StudyRecord:
    spec = session.spec
    objective = spec.objective
    pareto = objective.and_parameters
    return StudyRecord(
        digest=spec.digest(),
        description=spec.model_dump(mode="json"),
        targets=session.space.targets,
        groups=session.space.groups,
        objective=(objective.metric, "parameters") if pareto else (objective.metric,),
        directions=(objective.direction, "minimize") if pareto else (objective.direction,),
        budget_parameters=session.budget_parameters,
        head_parameters=session.head_parameters,
        versions=versions(),
    )
