"""What happens at each evaluation of a training run: note it, show it, perhaps stop it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import optuna
from optuna.exceptions import UpdateFinishedTrialError

from autolora.errors import StorageAway, TakenAway
from autolora.study.entries import Plan
from autolora.study.race import SEARCH
from autolora.study.retry import once
from autolora.study.session import Session
from autolora.study.stopping import dominated
from autolora.study.store import Store
from autolora.training.curve import CurvePoint
from autolora.training.midway import Midway

_log = logging.getLogger(__name__)


@dataclass
class Watch:
    """Called by `train` with each point of the curve; True stops the run.

    Baselines are never stopped: the search is compared with what they end at. Training does not
    wait for a database that is away: points wait here, and nothing is stopped meanwhile.

    Attributes:
        stopped: Whether somebody else gave up the trial.
        waiting: The points that are not yet stored, with how many evaluations there were then.
        evaluations: How many there were, those of an earlier attempt included.
    """

    trial: optuna.Trial
    plan: Plan
    store: Store
    session: Session
    say: Callable[..., None]
    stopped: Callable[[], bool] = lambda: False
    evaluations: int = field(default=0, init=False)
    waiting: list[tuple[int, CurvePoint]] = field(default_factory=list, init=False)

    @property
    def resumes(self) -> bool:
        """Whether the trial repeats one that may have got somewhere."""
        return "retry_of" in self.trial.user_attrs

    def start(self, midway: Midway | None) -> None:
        """Begins anew, or where an earlier attempt was left: its points are this trial's too."""
        points = midway.curve if midway else ()
        self.waiting = list(enumerate(points, start=1))
        self.evaluations = len(points)

    def __call__(self, point: CurvePoint) -> bool:
        """Notes a point and decides."""
        self.evaluations += 1
        training = self.session.spec.training
        self.say(
            "step",
            what=f"trial {self.trial.number}: valid loss {point.valid_loss:.4f}",
            share=point.step / training.steps,
            numbers={"step": point.step, "valid_loss": point.valid_loss},
        )
        self.waiting.append((self.evaluations, point))
        try:
            with once():
                return self._noted(point) or self.stopped()
        except StorageAway as error:
            _log.warning(
                "trial %d trains on, %d points wait: %s",
                self.trial.number,
                len(self.waiting),
                error,
            )
            return self.stopped()

    def keep(self, midway: Midway) -> None:
        """Keeps where the run stands, if the database is there."""
        try:
            with once():
                self.store.keep(self.trial.number, self.plan.digest, midway)
        except StorageAway as error:
            _log.warning("where trial %d stands was not kept: %s", self.trial.number, error)

    def points(self) -> tuple[CurvePoint, ...]:
        """The points that are not yet stored."""
        return tuple(point for _, point in self.waiting)

    def _noted(self, point: CurvePoint) -> bool:
        """Stores what waits; whether the run is to end."""
        try:
            if not self.store.curve(self.trial.number, self.points()):
                raise TakenAway(self.trial.number)
            stops = self._hopeless(point)
        except UpdateFinishedTrialError as error:
            raise TakenAway(self.trial.number) from error
        self.waiting.clear()
        return stops

    def _hopeless(self, point: CurvePoint) -> bool:
        last = self.evaluations == self.session.spec.training.evaluations
        if self.session.spec.objective.and_parameters:
            # Optuna cannot prune studies of several objectives.
            if self.plan.arm != SEARCH or last or self.session.spec.pruner["name"] == "none":
                return False
            others = [
                (t.parameters, {p.step: p.valid_loss for p in t.curve})
                for t in self.store.trials()
                if t.state == "complete"
            ]
            return dominated(point.step, point.valid_loss, self.plan.parameters, others)
        with self.store.storage.errors():
            for evaluation, each in self.waiting:
                self.trial.report(each.valid_loss, evaluation)
            return self.plan.arm == SEARCH and not last and self.trial.should_prune()
