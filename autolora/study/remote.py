"""The work of a study as single jobs, for backends that decide where each of them runs.

The driver asks for trials and hands out their numbers. A worker takes the trial over, trains it and
stores the result (remote_worker.py), so what the scheduler knows is never needed again. No address
of a database that holds a password travels with a job.
"""

import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna

from autolora import backends
from autolora.study import confirm as confirming
from autolora.study import material, sharing
from autolora.study.description import Backend, StudySpec
from autolora.study.lease import this_worker
from autolora.study.location import read_url, shown
from autolora.study.race import Race
from autolora.study.reasons import DIED, INTERRUPTED, NO_MEMORY
from autolora.study.register import change
from autolora.study.session import Session
from autolora.study.store import Store
from autolora.study.wish import Held, wish_of

if TYPE_CHECKING:
    from autolora.study.gauges import RayGauges

ADDRESS = "AUTOLORA_STORAGE"
_FIGURES_SECONDS = 15.0
_WHY = {"interrupted": INTERRUPTED, "out of memory": NO_MEMORY}  # of what a backend says


@dataclass(frozen=True)
class Driven:
    """A study as its driver sees it."""

    spec: StudySpec
    store: Store
    allow_code: bool
    listen: backends.Listen

    def jobs(self, phase: str) -> backends.Jobs:
        """The work of a phase."""
        return Trials(self) if phase == "search" else Measurements(self)

    def payload(self, folder: Path) -> dict[str, Any]:
        """What a worker is told beside its jobs, without a secret."""
        url = read_url(self.store.storage.url)
        return {
            "description": self.spec.model_dump(mode="json"),
            "allow_code": self.allow_code,
            "where": shown(url),
            "secret": shown(url) != url.render_as_string(hide_password=False),
            "host": socket.gethostname() if url.get_backend_name() == "sqlite" else None,
            "study_folder": str(folder.absolute()),
        }


@dataclass
class Trials:
    """Trials as jobs: `{"number": 12, "asker": …}`."""

    driven: Driven
    entry: str = "autolora.study.remote_worker:trainer"
    _paused: bool = field(default=False, init=False)
    _shown: float = field(default=0.0, init=False)

    def next(self) -> backends.Job | None:
        """Asks for a trial, which is this process's until a worker takes it."""
        self._show()
        store = self.driven.store
        store.reclaim()
        try:
            asked = self._race.ask(self._study)
        except Held:
            self._say_paused()
            return None
        self._paused = False
        if asked is None:
            return None
        return {"number": asked[0].number, "asker": this_worker()}

    def over(self) -> bool:
        """Whether the race is over, also for trials that may have to be tried again."""
        store = self.driven.store
        if wish_of(store) == "stop":
            return True
        running = any(trial.state == "running" for trial in store.trials())
        return not running and self._race.is_over(self._study)

    def lost(self, job: backends.Job, reason: str) -> None:
        """Gives a trial back; what its worker may still send is refused."""
        why = _WHY.get(reason, DIED)
        self.driven.store.release(job["number"], why)
        if why == NO_MEMORY:  # who looked at its process first did not know
            self.driven.store.explain(job["number"], why)

    def _say_paused(self) -> None:
        store = self.driven.store
        if not self._paused and wish_of(store) == "pause":
            self._paused = True
            text = f"paused; to go on: autolora resume {store.name}"
            self.driven.listen({"event": "waits", "worker": 0, "text": text})

    def _show(self) -> None:
        """Tells Ray's metrics now and then how the study stands."""
        if "ray" in sys.modules and time.monotonic() - self._shown >= _FIGURES_SECONDS:
            from autolora.study.status import status  # which knows of studies, as they of this

            self._gauges.show(status(self.driven.store, time.time()))
            self._shown = time.monotonic()

    @cached_property
    def _gauges(self) -> "RayGauges":
        from ray.util.metrics import Gauge

        from autolora.study.gauges import RayGauges

        return RayGauges(Gauge)

    @cached_property
    def _race(self) -> Race:
        return Race(Session(self.driven.spec, self.driven.allow_code), self.driven.store)

    @cached_property
    def _study(self) -> optuna.Study:
        material.note(self._race.session, self.driven.store)
        return self._race.optuna_study()


@dataclass
class Measurements:
    """The measurements of the confirmation as jobs: `{"arm": …, "seed": …}`."""

    driven: Driven
    entry: str = "autolora.study.remote_worker:measurer"
    _out: set[tuple[str, int]] = field(default_factory=set, init=False)

    def next(self) -> backends.Job | None:
        """A measurement that is still to be done."""
        if wish_of(self.driven.store) != "run":
            return None
        for job in sharing.left(self.driven.store, self._jobs):
            if (job.arm, job.seed) not in self._out:
                self._out.add((job.arm, job.seed))
                return {"arm": job.arm, "seed": job.seed}
        return None

    def over(self) -> bool:
        """Whether all are done."""
        store = self.driven.store
        return wish_of(store) == "stop" or not sharing.left(store, self._jobs)

    def lost(self, job: backends.Job, reason: str) -> None:
        """Lets another worker measure it, without waiting for the claim to lapse."""
        del reason
        name = sharing.key(job["arm"], job["seed"])
        self._out.discard((job["arm"], job["seed"]))
        change(self.driven.store, sharing.CLAIMS, lambda all_: _without(all_, name))

    @cached_property
    def _jobs(self) -> tuple[confirming.Job, ...]:
        return confirming.jobs(self.driven.spec, self.driven.store.results())


def place_of(
    backend: Backend, store: Store, folder: Path, extras: Mapping[str, Any]
) -> backends.Place:
    """Where the jobs of a study run."""
    given = {
        name: value
        for name in ("cpus", "gpus", "address")
        if (value := getattr(backend, name)) is not None
    }
    return backends.Place(
        workers=backend.workers,
        folder=folder,
        one_host=read_url(store.storage.url).get_backend_name() == "sqlite",
        extras=extras,
        **given,
    )


@contextmanager
def opened(backend: Any, place: backends.Place, url: str) -> Iterator[None]:
    """Within this context a backend that places jobs is ready for them."""
    if not hasattr(backend, "opened"):
        yield
        return
    with _inherited(url), backend.opened(place):
        yield


@contextmanager
def _inherited(url: str) -> Iterator[None]:
    """Within this context, processes that are started know an address with a password."""
    before = os.environ.get(ADDRESS)
    if shown(read_url(url)) != url:
        os.environ[ADDRESS] = url
    try:
        yield
    finally:
        os.environ.pop(ADDRESS, None)
        if before is not None:
            os.environ[ADDRESS] = before


def _without(claims: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: claim for key, claim in claims.items() if key != name}
