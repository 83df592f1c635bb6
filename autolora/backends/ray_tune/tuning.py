"""A Tuner whose searcher asks a study, and what it hears of the trials."""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune import Callback, Stopper
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.search import Searcher

from autolora.backends import Jobs, Listen, Place
from autolora.backends.ray_tune import leftovers
from autolora.backends.ray_tune.actor import Trial
from autolora.backends.ray_tune.cluster import joined
from autolora.backends.ray_tune.course import Course
from autolora.errors import AutoloraError

_MOST_LOST = 10
_UNBOUNDED = -1
_WORDS = 2**16  # characters; of a full node Ray lists at length what ran on it


def schedule(jobs: Jobs, payload: Mapping[str, Any], listen: Listen, place: Place) -> None:
    """As `ray_tune.schedule` says."""
    with joined(place):
        course = Course(jobs, listen, most_lost=max(_MOST_LOST, 3 * place.workers))
        name = f"{time.strftime('%Y-%m-%d_%H-%M-%S')}-{os.getpid()}"
        path = place.folder.absolute() / "ray"
        try:
            # What callbacks of the user's own wrote beside Tune's files is theirs.
            stays = bool(place.extras.get("callbacks"))
            with leftovers.own(path, name, stays=stays), course.interruptible():
                _tuner(course, {**payload, **_about(jobs, place)}, place, path / name).fit()
        finally:
            with suppress(AutoloraError):  # what is not given back now is taken back later
                course.give_back()
        if course.ended is not None:
            raise course.ended


class _Stateless:
    """Ray pickles what it is given into its files: of these, nothing goes there."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class Asking(_Stateless, Searcher):
    """Asks the study for every trial; it is told nothing, as the worker stores what came of it."""

    def __init__(self, course: Course) -> None:
        super().__init__()
        self._course = course

    def suggest(self, trial_id: str) -> Any:
        """The next job as a configuration."""
        course = self._course
        job = None
        with course.guarded():
            if not course.over():
                job = course.ask(trial_id)
            if job is not None:
                return {"job": dict(job)}
            if not course.over():
                return None
        return Searcher.FINISHED

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """The database knows already."""

    def save(self, checkpoint_path: str) -> None:
        """There is no state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing was saved."""


class Telling(_Stateless, Callback):
    """Passes on what Tune hears of its trials."""

    def __init__(self, course: Course) -> None:
        self._course = course

    def on_trial_result(self, *_: Any, **turn: Any) -> None:
        """An evaluation, a sign of life, or the end."""
        with self._course.guarded():
            self._course.heard(turn["trial"].trial_id, turn["result"])

    def on_trial_complete(self, *_: Any, **turn: Any) -> None:
        """The end of a job, or of a scheduler's patience with it."""
        trial = turn["trial"]
        actor = trial.temporary_state.ray_actor
        if not self._course.done(trial.trial_id) and actor is not None:
            actor.halt.remote()  # Tune keeps the actor, without a word to it

    def on_trial_error(self, *_: Any, **turn: Any) -> None:
        """The end of a worker."""
        with self._course.guarded():
            self._course.lost(turn["trial"].trial_id, _words(turn["trial"]))


class Ending(_Stateless, Stopper):
    """Stops every trial when the run is to end."""

    def __init__(self, course: Course) -> None:
        self._course = course

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No single trial is stopped by it."""
        del trial_id, result
        return False

    def stop_all(self) -> bool:
        """Whether the run is to end; jobs are given back first, so that no half of one counts."""
        if self._course.ended is None:
            return False
        with suppress(AutoloraError):
            self._course.give_back()
        return True


def _about(jobs: Jobs, place: Place) -> dict[str, Any]:
    return {"entry": jobs.entry, "cpus": place.cpus, "folder": str(Path.cwd())}


def _tuner(course: Course, payload: Mapping[str, Any], place: Place, at: Path) -> tune.Tuner:
    resources = {"cpu": place.cpus} | ({"gpu": place.gpus} if place.gpus else {})
    trainable = tune.with_resources(tune.with_parameters(Trial, payload=dict(payload)), resources)
    return tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=Asking(course),
            scheduler=place.extras.get("scheduler"),
            num_samples=_UNBOUNDED,
            max_concurrent_trials=place.workers,
            reuse_actors=True,
            trial_name_creator=_named,
            trial_dirname_creator=_named,
        ),
        run_config=tune.RunConfig(
            name=at.name,
            storage_path=str(at.parent),
            stop=Ending(course),
            callbacks=[Telling(course), *place.extras.get("callbacks", ())],
            # A trial whose worker died goes on as a new trial of the study, which counts its
            # attempts: Tune's own retry would repeat a job that is nobody's any more.
            failure_config=tune.FailureConfig(max_failures=0),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
        ),
    )


def _named(trial: TuneTrial) -> str:
    return f"job-{trial.trial_id}"


def _words(trial: TuneTrial) -> str:
    """What Ray wrote of the error of a trial; the text, not the pickle beside it."""
    with suppress(OSError, AttributeError, TypeError):
        return Path(trial.error_file).read_text(encoding="utf-8", errors="replace")[:_WORDS]
    return ""
