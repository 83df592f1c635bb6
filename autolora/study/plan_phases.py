"""How many trials and example-passes each part of a study takes, and about how long."""

from dataclasses import dataclass

from autolora.spending.opening import Arm
from autolora.study.race import SEARCH, samples, works_of
from autolora.study.session import Session
from autolora.study.timing import Timing
from autolora.study.working import Assigned, stages_of
from autolora.training.cost import fine_tune, trained_examples
from autolora.training.settings import TrainingSettings
from autolora.training.task import Task


@dataclass(frozen=True)
class Phase:
    """A part of a study; None where the clock alone ends it.

    `exact` tells counts that will be so from counts that are the most there can be.

    Units: `seconds` are those of one worker alone.
    """

    name: str
    trials: int | None
    example_passes: int | None
    exact: bool
    seconds: float


@dataclass(frozen=True)
class Run:
    """What one run costs that is not stopped early."""

    example_passes: int
    seconds: float

    @classmethod
    def of(cls, task: Task, settings: TrainingSettings, timing: Timing) -> "Run":
        """A run's cost, from counts and seconds an example."""
        trained = trained_examples(task, settings.batch_size, settings.steps)
        evaluated = settings.evaluations * task.examples("valid")
        seconds = trained * timing.trained + evaluated * timing.evaluated
        return cls(fine_tune(task, settings), seconds)


def phases(session: Session, arms: tuple[Arm, ...], timing: Timing) -> tuple[Phase, ...]:
    """The opening, the search and the confirmation of a study."""
    run = Run.of(session.task, session.spec.training, timing)
    first = _opening(session, arms, run)
    worked = works_of(session.spec)
    works = tuple(_work(n, Assigned(each), session, run) for n, each in worked.items())
    names = {arm.name for arm in arms} | ({SEARCH} if samples(session.spec) else set())
    confirmation = _confirmation(session, len(names), works, (run, timing))
    search = (_search(session, first, run),) if samples(session.spec) else ()
    return *((first,) if arms else ()), *works, *search, confirmation


def _work(name: str, assigned: Assigned, session: Session, run: Run) -> Phase:
    """A strategy that does its own work; its account is the most that it may cost."""
    passes = sum(stage.example_passes for stage in stages_of(assigned, session))
    title = name if name == assigned.name else f"{name}: {assigned.name}"
    return Phase(title, 1, passes, exact=False, seconds=run.seconds * passes / run.example_passes)


def _opening(session: Session, arms: tuple[Arm, ...], run: Run) -> Phase:
    """Equal proposals are trained once."""
    proposals = [session.space.fixed(arm.allocation, arm.learning_rate) for arm in arms]
    runs = len({each.digest(session.context) for each in proposals})
    exact = _at_full_price(session.spec.training)
    return Phase("opening", len(arms), runs * run.example_passes, exact, runs * run.seconds)


def _search(session: Session, first: Phase, run: Run) -> Phase:
    """The most: pruned trials cost less, and what was trained before costs nothing."""
    budget, workers = session.spec.budget, session.spec.backend.workers
    of_ft = None if budget.ft is None else int(budget.ft * run.example_passes)
    runs = [] if budget.trials is None else [float(budget.trials)]
    if of_ft is not None:
        runs.append(float(of_ft // run.example_passes))  # none begins that might not end within it
    for limit, before, each in (
        (budget.example_passes, first.example_passes or 0, run.example_passes),
        (budget.seconds, first.seconds, run.seconds),
    ):
        if limit is not None:
            # The last runs begin while the sum is below the limit, one in each worker.
            runs.append(max(0.0, (limit - before) / each + workers) if limit > before else 0.0)
    counted = any(x is not None for x in (budget.trials, budget.example_passes, budget.ft))
    most = min(runs[:-1] if budget.seconds is not None and counted else runs)
    passes = int(most * run.example_passes) if counted else None
    return Phase("search", budget.trials, passes, exact=False, seconds=min(runs) * run.seconds)


def _confirmation(
    session: Session, arms: int, works: tuple[Phase, ...], one: tuple[Run, Timing]
) -> Phase:
    """Each arm on the test split at each seed; the adapters of the first seed were kept.

    A strategy that does its own work does all of it for every further seed.
    """
    run, timing = one
    more = session.spec.confirm.seeds - 1
    count = (arms + len(works)) * (more + 1)
    tested = count * session.task.examples("test")
    worked = more * sum(work.example_passes or 0 for work in works)
    seconds = arms * more * run.seconds + more * sum(work.seconds for work in works)
    return Phase(
        "confirmation",
        count,
        arms * more * run.example_passes + worked + tested,
        _at_full_price(session.spec.training) and not works,
        seconds + tested * timing.measured,
    )


def _at_full_price(training: TrainingSettings) -> bool:
    """Whether a run that is not pruned takes every step, none of it from kept activations."""
    plain = training.cache_bytes == 0 and training.head_start == "random"
    return plain and training.patience is None
