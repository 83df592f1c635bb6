"""The work of one strategy at one seed: what it may use, what it has used, and how it trains."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from autolora.artifacts.adapter import Adapter
from autolora.errors import Diverged
from autolora.lora.allocation import Allocation
from autolora.space.proposal import Proposal
from autolora.space.space import Space
from autolora.spending.journal import Entry, Journal, Memory, digest
from autolora.spending.opening import largest_uniform_rank
from autolora.spending.stage import Stage
from autolora.training.checkpoint import Checkpoint
from autolora.training.cost import fine_tune, run_passes
from autolora.training.curve import CurvePoint, Ledger
from autolora.training.fit import Fit, Run, train
from autolora.training.settings import TrainingSettings
from autolora.training.shared import Shared
from autolora.training.task import Task
from autolora.training.treatment import Plain, Treats

Say = Callable[[str, float], None]  # what is done now, and which share of it
Stop = Callable[[], bool]
Scale = tuple[str, float]  # a scale rule and its value


@dataclass(frozen=True)
class Left:
    """A run that was left: where it stands, and what it has cost."""

    checkpoint: Checkpoint
    ledger: Ledger


def _silent(what: str, share: float) -> None:
    del what, share


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Terms:
    """What every strategy of a study is given, whatever its seed.

    Attributes:
        parameters: How many an adapter may have.
        allowance: How many example-passes the strategy may spend, the final run included.
    """

    task: Task
    space: Space
    settings: TrainingSettings
    parameters: int
    allowance: int

    @property
    def fine_tune(self) -> int:
        """One fine-tune (FT) of the study's length, in example-passes, its evaluations included."""
        return fine_tune(self.task, self.settings)

    def passes(self, steps: int, evaluations: int) -> int:
        """What a run of so many steps with so many evaluations costs."""
        return run_passes(self.task, self.settings.batch_size, steps, evaluations)

    def proposal(
        self, allocation: Allocation, learning_rate: float, scale: Scale | None = None
    ) -> Proposal:
        """An allocation to train, with the scale of the space or another one."""
        return Proposal(allocation, learning_rate, *(scale or self.space.scales[0]))

    @property
    def costs(self) -> Mapping[str, int]:
        """Parameters that one rank costs at each target."""
        return {target.name: target.cost for target in self.space.targets}

    @property
    def uniform_rank(self) -> int:
        """The highest rank whose uniform allocation keeps the budget; 0 if none does."""
        return largest_uniform_rank(self.space, self.parameters)


@dataclass
class Work:
    """One strategy at one seed.

    Every run and every decision goes through `fit` and `once`: what the journal holds is not done
    again, so a strategy that was stopped goes on by being called again. The ledger counts what was
    done, whether now or before.

    Attributes:
        say: Tells what is done now.
        stop: Whether time is up: a run ends at its next evaluation, with what it has.
    """

    terms: Terms
    seed: int
    shared: Shared = field(default_factory=Shared)
    journal: Journal = field(default_factory=Memory)
    say: Say = _silent
    stop: Stop = _never
    ledger: list[Stage] = field(default_factory=list)

    @property
    def spent(self) -> int:
        """Example-passes so far."""
        return sum(stage.example_passes for stage in self.ledger)

    @property
    def left(self) -> int:
        """Example-passes that may still be spent."""
        return self.terms.allowance - self.spent

    def fit(  # noqa: PLR0913 - what tells runs apart
        self,
        stage: str,
        allocation: Allocation,
        learning_rate: float,
        *,
        settings: TrainingSettings | None = None,
        start: Adapter | None = None,
        treats: Treats = Plain,
        left: Left | None = None,
        about: Any = None,
        scale: Scale | None = None,
    ) -> Fit:
        """Trains an allocation, or gives the run that the journal holds.

        Args:
            stage: The line of the ledger; runs of one stage are told apart by what they train.
            allocation: Its ranks.
            learning_rate: The peak rate.
            settings: Those of the study without.
            start: The adapter that the run starts from.
            treats: What is done with factors beside gradient steps.
            left: Where the run was left; it goes on from there.
            about: Plain data that decide the run beside all that: the options of `treats`.
            scale: A scale rule and its value, in the place of the space's own.

        Raises:
            Diverged: if a loss is not finite any more; the run counts as if it had gone to its end.
        """
        terms = self.terms
        proposal = terms.proposal(allocation, learning_rate, scale)
        run = Run(terms.task, proposal, settings or terms.settings, self.seed, start, treats)
        key = self._key(
            stage,
            proposal.digest(),
            run.settings.model_dump(mode="json"),
            None if start is None else start.digest,
            about,
        )
        entry = self.journal.find(key)
        if entry is None:
            entry = self._trained(stage, run, left)
            self.journal.keep(key, entry)
        self.ledger.append(entry.stage)
        if entry.adapter is None:
            raise Diverged("training", entry.data["step"], learning_rate)
        return entry.fit()

    def _trained(self, stage: str, run: Run, left: Left | None) -> Entry:
        self.say(stage, 0.0)
        began = time.perf_counter()
        watch = self._watch(stage, run.settings.steps)
        try:
            if left is None:
                return Entry.of_fit(stage, train(run, self.shared, watch))
            rest = train(run, self.shared, watch, left.checkpoint)
            return Entry.of_fit(stage, rest.with_cost_of(left.ledger))
        except Diverged as error:
            settings = run.settings
            passes = self.terms.passes(settings.steps, settings.evaluations)
            spent = Stage(stage, passes, time.perf_counter() - began)
            return Entry(spent, {"step": error.step})

    def once(
        self, stage: str, compute: Callable[[], tuple[Mapping[str, Any], int]], *about: Any
    ) -> Mapping[str, Any]:
        """Plain data that `compute` gives with its example-passes, or that the journal holds.

        `about` is what decides them beside the stage.
        """

        def settle() -> Entry:
            began = time.perf_counter()
            data, passes = compute()
            return Entry(Stage(stage, passes, time.perf_counter() - began), data)

        return self.settled(stage, settle, *about).data

    def settled(self, stage: str, compute: Callable[[], Entry], *about: Any) -> Entry:
        """The entry that `compute` gives, or that the journal holds."""
        key = self._key(stage, *about)
        entry = self.journal.find(key)
        if entry is None:
            self.say(stage, 0.0)
            entry = compute()
            self.journal.keep(key, entry)
        self.ledger.append(entry.stage)
        return entry

    def _key(self, stage: str, *about: Any) -> str:
        return digest(self.terms.task.fingerprint(), self.seed, stage, *about)

    def _watch(self, stage: str, steps: int) -> Callable[[CurvePoint], bool]:
        def watch(point: CurvePoint) -> bool:
            self.say(stage, point.step / steps)
            return self.stop()

        return watch
