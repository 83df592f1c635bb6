"""Strategies that do their own work, as trials of a study."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from autolora import strategies
from autolora.errors import OutOfMemory
from autolora.registry import load
from autolora.spending import Found, Stage, Work
from autolora.spending.journal import digest
from autolora.spending.work import Say, Terms
from autolora.study.description import USUAL_FT
from autolora.study.session import Session
from autolora.study.store import Store
from autolora.training.cost import fine_tune
from autolora.training.shared import Shared


@dataclass(frozen=True)
class Assigned:
    """What a trial is to do: a strategy by name, with all its options."""

    strategy: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The strategy's name."""
        return str(self.strategy["name"])

    def options(self) -> Any:
        """The options as the strategy wants them."""
        rest = {key: value for key, value in self.strategy.items() if key not in ("name", "arm")}
        return load(strategies, self.name).OPTIONS.model_validate(rest)

    def digest(self, session: Session) -> str:
        """Equal for strategies that would find the same."""
        terms = terms_of(session)
        rest = {key: value for key, value in self.strategy.items() if key != "arm"}
        return digest(rest, terms.parameters, terms.allowance, session.context)


def terms_of(session: Session) -> Terms:
    """What the strategies of a study are given."""
    budget, training = session.spec.budget, session.spec.training
    assert session.budget_parameters is not None, "the description was checked"
    limits = [budget.example_passes] if budget.example_passes is not None else []
    if budget.ft is not None or not limits:
        limits.append(int(fine_tune(session.task, training) * (budget.ft or USUAL_FT)))
    parameters = session.budget_parameters
    return Terms(session.task, session.space, training, parameters, min(limits))


def do(assigned: Assigned, work: Work, store: Store) -> Found:
    """Lets a strategy do its work; where memory does not suffice, again with smaller batches.

    What it had done before stands in its journal.

    Raises:
        AutoloraError: as the strategy does.
    """
    strategy, options = load(strategies, assigned.name), assigned.options()
    while True:
        work.shared.parts = store.parts()
        work.ledger.clear()
        try:
            found: Found = strategy.search(options, work)
        except OutOfMemory as error:
            if error.parts >= work.terms.settings.batch_size:
                raise
            store.divide(2 * work.shared.parts)
        else:
            return replace(found, about={**found.about, **_terms(assigned, work)})


def _terms(assigned: Assigned, work: Work) -> dict[str, Any]:
    """What it was given, so that its ledger can be read without the task."""
    terms = work.terms
    stages = load(strategies, assigned.name).account(assigned.options(), terms)
    return {
        "strategy": assigned.name,
        "fine_tune": terms.fine_tune,
        "allowance": terms.allowance,
        "account": [{"name": s.name, "example_passes": s.example_passes} for s in stages],
    }


def stages_of(assigned: Assigned, session: Session) -> tuple[Stage, ...]:
    """What each stage of a strategy will cost at most.

    Raises:
        AllowanceTooSmall: if the budget does not hold what it needs at least.
    """
    strategy = load(strategies, assigned.name)
    stages: tuple[Stage, ...] = strategy.account(assigned.options(), terms_of(session))
    return stages


def account_of(assigned: Assigned, session: Session) -> str:
    """The account of a strategy in one line, in FT and example-passes."""
    terms = terms_of(session)
    unit = terms.fine_tune
    stages = stages_of(assigned, session)
    parts = ", ".join(f"{s.name} {s.example_passes / unit:.2f}" for s in stages if s.example_passes)
    total = sum(stage.example_passes for stage in stages)
    return (
        f"{assigned.name} will take at most {total / unit:.2f} FT of {terms.allowance / unit:.2f} "
        f"({total:,} example-passes): {parts}; an adapter of {terms.parameters:,} parameters"
    )


def work_of(session: Session, store: Store, seed: int, shared: Shared, say: Say) -> Work:
    """The work of a strategy of a study at a seed."""
    stop = _clock(session.spec.budget.seconds)
    return Work(terms_of(session), seed, shared, store.journal(), say, stop)


def _clock(seconds: float | None) -> Callable[[], bool]:
    """Whether so many seconds have passed since now; never without a number."""
    ends = None if seconds is None else time.monotonic() + seconds
    return lambda: ends is not None and time.monotonic() >= ends
