"""What happens at each evaluation of a training run: note it, show it, perhaps stop it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import optuna

from autolora.study.entries import Plan
from autolora.study.race import SEARCH
from autolora.study.session import Session
from autolora.study.stopping import dominated
from autolora.study.store import Store
from autolora.training.curve import CurvePoint


@dataclass
class Watch:
    """Called by `fit` with each point of the curve; True stops the run.

    Baselines are never stopped: the search is compared with what they end at.
    """

    trial: optuna.Trial
    plan: Plan
    store: Store
    session: Session
    say: Callable[..., None]
    evaluations: int = field(default=0, init=False)

    def __call__(self, point: CurvePoint) -> bool:
        """Notes a point and decides."""
        self.evaluations += 1
        training = self.session.spec.training
        self.say(
            "step",
            what=f"trial {self.trial.number}: valid loss {point.valid_loss:.4f}",
            share=point.step / training.steps,
        )
        if not self.store.curve(self.trial.number, [point]):
            return True
        return self._hopeless(point)

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
            self.trial.report(point.valid_loss, self.evaluations)
            return self.plan.arm == SEARCH and not last and self.trial.should_prune()
