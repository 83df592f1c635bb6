"""Ranks and placement inside transformers' `Trainer`, and training runs as trials of a study."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import optuna
from torch import nn
from transformers import TrainerCallback

from autolora.errors import EvaluatesNothing
from autolora.lora.attach import Attached, attach
from autolora.lora.select import outside
from autolora.space.proposal import Proposal
from autolora.space.read import find, read_yaml, validate
from autolora.space.space import Space
from autolora.space.spec import SpaceSpec
from autolora.study.race import suggest


@dataclass(frozen=True)
class Ranks:
    """Ranks, placement and learning rate as what `Trainer.hyperparameter_search` searches.

    Give `model_init` to the trainer and `hp_space` to the search, with the backend "optuna":

        ranks = Ranks(make_model, "text-encoder", head=("classifier",), uniform_rank=4)
        trainer = Trainer(model_init=ranks.model_init, args=…, train_dataset=…, eval_dataset=…)
        best = trainer.hyperparameter_search(ranks.hp_space, backend="optuna", n_trials=20)
        ranks.proposal(best.hyperparameters).allocation

    Attributes:
        make: Gives a fresh pretrained model.
        space: A search space by its name or file, or as plain data.
        head: The modules that are trained in full beside the adapter; they are no targets.
        uniform_rank: The budget: what this rank would take everywhere. None for no budget.

    Raises:
        UsageError: if the space does not fit the model.
    """

    make: Callable[[], nn.Module]
    space: str | Mapping[str, Any]
    head: Sequence[str] = ()
    uniform_rank: int | None = None

    @cached_property
    def resolved(self) -> Space:
        """The space over the targets of the model."""
        if isinstance(self.space, str):
            spec = read_yaml(find(self.space, "search_spaces"), SpaceSpec)
        else:
            spec = validate(dict(self.space), SpaceSpec, "the space")
        return spec.resolve(outside(self.make(), self.head))

    @cached_property
    def budget_parameters(self) -> int | None:
        """How many parameters an adapter may have."""
        if self.uniform_rank is None:
            return None
        space = self.resolved
        return space.uniform(self.uniform_rank).parameters(space.targets)

    def hp_space(self, trial: optuna.Trial) -> dict[str, float]:
        """Asks the trial for ranks and rate; gives the rate, which the trainer takes itself."""
        return {"learning_rate": float(self._suggested(trial)["learning_rate"])}

    def model_init(self, trial: optuna.Trial | None = None) -> nn.Module:
        """A fresh model with the adapter that a trial asks for; without a trial, with none.

        The trainer calls it once before there is a trial, and for each trial before `hp_space`.
        """
        model = self.make()
        if trial is not None:
            self.attach(model, self._suggested(trial))
        return model

    def attach(self, model: nn.Module, params: Mapping[str, Any]) -> Attached:
        """Attaches the adapter of a configuration to a model: that of the best run, to train on."""
        proposal = self.proposal(params)
        attached = attach(model, proposal.allocation, scale=proposal.scale)
        return attached.also_train(*self.head)

    def proposal(self, params: Mapping[str, Any]) -> Proposal:
        """Allocation, scale and rate that a configuration means (`BestRun.hyperparameters`)."""
        return self.resolved.proposal(params, self.budget_parameters)

    def _suggested(self, trial: optuna.Trial) -> dict[str, Any]:
        params = suggest(trial, self.resolved.distributions)
        allocation = self.proposal(params).allocation
        trial.set_user_attr("parameters", allocation.parameters(self.resolved.targets))
        return params


@dataclass
class StudyCallback(TrainerCallback):
    """Makes each `Trainer.train` a trial of a study: reports every evaluation, prunes, tells.

    Attributes:
        study: Where the trial belongs; in a database, Optuna's dashboard shows it while it trains.
        metric: What of the evaluation counts; less is better if the study says so.
        notes: What is kept with the trial, as plain data.
    """

    study: optuna.Study
    metric: str = "eval_loss"
    notes: Mapping[str, Any] = field(default_factory=dict)
    trial: optuna.Trial | None = field(default=None, init=False)
    _values: list[float] = field(default_factory=list, init=False)
    _pruned: bool = field(default=False, init=False)

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Asks for a trial."""
        del args, state, control, more
        self.trial, self._values, self._pruned = self.study.ask(), [], False
        for name, value in self.notes.items():
            self.trial.set_user_attr(name, value)

    def on_evaluate(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Reports, and stops a run that the study's pruner gives up.

        Raises:
            EvaluatesNothing: if the evaluation has no such metric.
        """
        del args
        metrics = more["metrics"]
        if self.metric not in metrics:
            raise EvaluatesNothing(self.metric, sorted(metrics))
        if self.trial is None:  # an evaluation outside of a training
            return
        value = float(metrics[self.metric])
        self._values.append(value)
        self.trial.report(value, state.global_step)
        if self.trial.should_prune():
            self._pruned = control.should_training_stop = True

    def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Tells the best value that was seen."""
        del args, state, control, more
        assert self.trial is not None
        best = self._best()
        told = optuna.trial.TrialState
        if best is None:
            self.study.tell(self.trial, state=told.FAIL)
        elif self._pruned:
            self.study.tell(self.trial, state=told.PRUNED)
        else:
            self.study.tell(self.trial, best)
        self.trial = None

    def _best(self) -> float | None:
        finite = [value for value in self._values if math.isfinite(value)]
        less = self.study.direction == optuna.study.StudyDirection.MINIMIZE
        return (min if less else max)(finite, default=None)


def notes(attached: Attached) -> dict[str, Any]:
    """Allocation and parameters of an adapter, for `StudyCallback.notes`."""
    allocation = {name: part.down.shape[0] for name, part in attached.factors.items()}
    parameters = sum(part.up.numel() + part.down.numel() for part in attached.factors.values())
    return {"allocation": json.dumps(allocation), "parameters": parameters}
