"""Cells of the search benchmark: a task, a budget and a seed, for every arm."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from autolora.spending.work import Terms
from autolora.study.description import read_study
from autolora.study.session import Session
from benchmarks.search import tier0


@dataclass(frozen=True)
class Cell:
    """A task under a budget of adapter parameters, given as a uniform rank."""

    name: str
    uniform_rank: int
    terms: Callable[[int], Terms]


def of_tier0(kind: Any, uniform_rank: int) -> Cell:
    """A new language of the tiny decoder for every seed."""

    def terms(seed: int) -> Terms:
        task = tier0.task(kind, seed)
        from autolora.lora.targets import targets

        space = tier0.space().resolve(targets(task.model()))
        parameters = space.uniform(uniform_rank).parameters(space.targets)
        return Terms(task, space, tier0.SETTINGS, parameters, 0)

    return Cell(f"tier0-{kind}", uniform_rank, terms)


def of_study(name: str, uniform_rank: int, highest: int | None = None) -> Cell:
    """A study's task, space and training; the splits are its own, whatever the seed."""
    sessions: list[Session] = []

    def terms(seed: int) -> Terms:
        del seed
        if not sessions:
            spec = read_study(name)
            if highest is not None:
                spec = _offering(spec, highest)
            sessions.append(Session(spec))
        session = sessions[0]
        parameters = session.space.uniform(uniform_rank).parameters(session.space.targets)
        return Terms(session.task, session.space, session.spec.training, parameters, 0)

    return Cell(name, uniform_rank, terms)


def _offering(spec: Any, highest: int) -> Any:
    """The study with ranks up to a highest one, for loose budgets."""
    ranks = (0, *(1 << k for k in range(highest.bit_length())))
    groups = tuple(group.model_copy(update={"ranks": None}) for group in spec.space.groups)
    space = spec.space.model_copy(update={"ranks": ranks, "groups": groups})
    return spec.model_copy(update={"space": space})


CELLS = {
    f"{cell.name}/{cell.uniform_rank}": cell
    for cell in (
        of_tier0("transition", 1),
        of_tier0("copy", 1),
        of_tier0("both", 1),
        of_study("digits", 1),
        of_study("digits", 8, 16),  # its smallest matrix holds no more
        of_study("cola", 1),
        of_study("cola", 8, 32),
        of_study("wordnet", 1),
        of_study("wordnet", 8, 32),
        of_study("spoken-digits", 1),
        of_study("spoken-digits", 8, 32),
    )
}
DEVELOPED_ON = ("tier0-transition/1", "tier0-copy/1", "tier0-both/1", "digits/1", "digits/8",
                "cola/1", "cola/8")  # fmt: skip
