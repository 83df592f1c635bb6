"""What every process of a study rebuilds from its description: task, space and budget."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

from torch import nn

from autolora import tasks
from autolora.errors import UnknownName
from autolora.lora.allocation import Allocation
from autolora.lora.attach import attach, detach
from autolora.lora.select import outside
from autolora.lora.selfcheck import check
from autolora.registry import load
from autolora.space.space import Space
from autolora.space.spec import SpaceSpec
from autolora.study.description import StudySpec
from autolora.training.task import Task


@dataclass(frozen=True)
class Session:
    """A study's description, brought to life."""

    spec: StudySpec
    allow_code: bool = False

    @cached_property
    def task(self) -> Task:
        """The task, made by the case that its `type` names."""
        options = dict(self.spec.task)
        case = load(tasks, options.pop("type"))
        made: Task = case.task(options, allow_code=self.allow_code)
        return made

    @cached_property
    def model(self) -> nn.Module:
        """One model of the task, to look at."""
        return self.task.model()

    @cached_property
    def space(self) -> Space:
        """The search space over the targets of the base; heads are no targets."""
        assert isinstance(self.spec.space, SpaceSpec), "read_study reads the space in"
        return self.spec.space.resolve(outside(self.model, self.task.head))

    @cached_property
    def budget_parameters(self) -> int | None:
        """How many adapter parameters an allocation may have."""
        budget = self.spec.budget
        if budget.uniform_rank is not None:
            return self.space.uniform(budget.uniform_rank).parameters(self.space.targets)
        return budget.parameters

    @cached_property
    def head_parameters(self) -> int:
        """What every arm trains beside its adapter."""
        modules = [self.model.get_submodule(name) for name in self.task.head]
        return sum(p.numel() for module in modules for p in module.parameters())

    @cached_property
    def context(self) -> str:
        """A digest of all that decides a result beside the proposal."""
        decides = {
            "task": self.task.fingerprint(),
            "training": self.spec.training.model_dump(mode="json"),
            "seed": self.spec.seed,
            "pruner": self.spec.pruner,
        }
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()

    def check_metric(self) -> None:
        """Makes sure that the task reports the metric of the objective.

        Raises:
            UnknownName: if it does not.
        """
        if self.spec.objective.metric not in self.task.metrics:
            raise UnknownName("metric", self.spec.objective.metric, self.task.metrics)

    def self_check(self) -> None:
        """Adapts every target of the space at rank 1 and runs two examples.

        Raises:
            DeadTargets: naming the targets that the model does not use.
        """
        batch = next(iter(self.task.batches("train", batch_size=2)))
        model = self.task.model()
        attach(model, Allocation.uniform(self.space.targets, 1))
        check(model, lambda m: self.task.loss(m, batch))
        detach(model)
