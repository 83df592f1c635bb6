"""A worker that joins a stored study, from any machine that reaches its database and its data."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from autolora.study import worker
from autolora.study.counted import Counted
from autolora.study.joined import entered
from autolora.study.study import Study
from autolora.study.wish import refuse_stopped

Listen = Callable[[Mapping[str, Any]], None]


class _Enough(Exception):
    """The worker has run as many trials as it was to."""


@dataclass(frozen=True)
class Left:
    """How a worker left a study: how many trials and measurements were its own, and why it ends."""

    ran: int
    measured: int
    why: str


def join(study: Study, listen: Listen, *, name: str | None = None, most: int | None = None) -> Left:
    """Works on a stored study until nothing is left, or it is stopped.

    It takes trials, waits for those of others, so that none is left behind, and then takes its
    share of the confirmation. With `most` it leaves after so many trials.

    Raises:
        StudyStopped: if it was stopped before.
        OtherMaterial: if data, model or code are others here.
        NoFeasibleTrial: if the budget ended and no trial has a result.
    """
    refuse_stopped(study.store)
    joined = _Joined(study, listen, entered(study.store, name), most)
    try:
        done = study.through(joined.phase)
        why = "nothing is left to do" if done else "stopped"
    except _Enough:
        why = "as many trials as asked for are done"
    return Left(joined.counts["trial"], joined.counts["confirmed"], why)


@dataclass(frozen=True)
class _Joined:
    """A worker in this process, and what it did."""

    study: Study
    listen: Listen
    number: int
    most: int | None
    counts: Counter[str] = field(default_factory=Counter)

    def phase(self, name: str) -> None:
        """Works through a phase."""
        heard = Counted(self.study.spec, self.study.store, name, self._hear)
        if name == "confirm":
            worker.confirm(self._payload(), heard)
            return
        worker.search(self._payload(), heard)
        if self.most is not None and self.counts["trial"] >= self.most:
            raise _Enough

    def _hear(self, event: Mapping[str, Any]) -> None:
        self.counts[event["event"]] += 1
        self.listen(event)

    def _payload(self) -> dict[str, Any]:
        return {
            "description": self.study.spec.model_dump(mode="json"),
            "url": self.study.store.storage.url,
            "allow_code": self.study.allow_code,
            "folder": str(self.study.folder.absolute()),
            "worker": 0,
            "workers": 1,
            "number": self.number,
            "joins": True,
            "most": None if self.most is None else self.most - self.counts["trial"],
        }
