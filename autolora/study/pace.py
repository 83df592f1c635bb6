"""How fast a study goes, what of its budget is used, and when it will be done."""

from collections.abc import Sequence
from dataclasses import dataclass

from autolora.study import confirm
from autolora.study.description import USUAL_FT
from autolora.study.race import SEARCH, counts, samples, works_of
from autolora.study.results import Results, TrialRow
from autolora.study.seen import AttemptRow, Seen

WINDOW_SECONDS = 3600.0  # over which throughput is counted
_ENDED = ("complete", "pruned")


@dataclass(frozen=True)
class Limit:
    """A budget and how much of it is used.

    `name` is the key of the study file: trials, ft, seconds, example_passes.
    """

    name: str
    used: float
    limit: float

    @property
    def share(self) -> float:
        """What part is used, 0 to 1."""
        return min(1.0, self.used / self.limit)


@dataclass(frozen=True)
class Pace:
    """What was done in the last hour, or since the study began.

    Units: `seconds` are those that trials took, all workers together; `hours` and `eta_seconds`
    are those of the clock. `eta_seconds` is None where nothing tells.
    """

    trials_per_hour: float
    passes_per_second: float
    seconds_per_second: float
    eta_seconds: float | None


def limits(seen: Seen) -> tuple[Limit, ...]:
    """The budgets of a study that are known without its task.

    A strategy that does its own work has a budget of its own, and so has each beside it: they
    count together.
    """
    budget, trials = seen.spec.budget, seen.results.trials
    passes, seconds = spent(seen)
    found: list[Limit] = []
    if samples(seen.spec) and budget.trials is not None:
        found.append(Limit("trials", sum(map(counts, trials)), budget.trials))
    if budget.seconds is not None:
        found.append(Limit("seconds", seconds, budget.seconds))
    if budget.example_passes is not None and samples(seen.spec):
        found.append(Limit("example_passes", passes, budget.example_passes))
    return (*found, *_fine_tunes(seen))


def spent(seen: Seen) -> tuple[int, float]:
    """Example-passes and seconds that trials took; those of a running strategy by its stages."""
    worked = {trial.number for trial in seen.results.trials if "strategy" in trial.configuration}
    own = [trial for trial in seen.results.trials if trial.number not in worked]
    _, passes, seconds = seen.stages
    finished = [trial for trial in seen.results.trials if trial.number in worked]
    return (
        sum(t.example_passes for t in own) + max(passes, sum(t.example_passes for t in finished)),
        sum(t.seconds for t in own) + max(seconds, sum(t.seconds for t in finished)),
    )


def pace(seen: Seen, now: float, workers: int) -> Pace:
    """How fast a study goes."""
    recent = _recent(seen, now)
    began = min((attempt.started for attempt in seen.attempts), default=now)
    span = max(1e-9, min(WINDOW_SECONDS, now - began))
    rate = sum(trial.state in _ENDED for trial in recent) / span
    return Pace(
        trials_per_hour=3600 * rate,
        passes_per_second=sum(trial.example_passes for trial in recent) / span,
        seconds_per_second=sum(trial.seconds for trial in recent) / span,
        eta_seconds=_eta(seen, rate, workers),
    )


def measurements(seen: Seen) -> tuple[int, int]:
    """Arms measured at a seed, and those that are left, as far as arms have results."""
    done = {(final.arm, final.seed) for final in seen.results.finals}
    return len(done), len(confirm.jobs(seen.spec, seen.results))


def is_over(seen: Seen) -> bool:
    """Whether everything is done: trials, budget, confirmation."""
    states = {trial.state for trial in seen.results.trials}
    done, left = measurements(seen)
    counted = [limit for limit in limits(seen) if limit.name == "trials"]
    return bool(done) and not left and not states & {"waiting", "running"} and not _left(counted)


def _fine_tunes(seen: Seen) -> tuple[Limit, ...]:
    """The budget in FT, of the sampler or of the strategies, where a worker noted what one is."""
    one, budget = seen.fine_tune, seen.spec.budget
    works = works_of(seen.spec)
    if one is None or (not works and budget.ft is None):
        return ()
    if works:
        _, passes, _ = seen.stages
        each = budget.ft or USUAL_FT
        if budget.example_passes is not None:
            each = min(each, budget.example_passes / one)
        return (Limit("ft", passes / one, len(works) * each),)
    assert budget.ft is not None
    own = sum(t.example_passes for t in seen.results.trials if t.arm == SEARCH)
    return (Limit("ft", own / one, budget.ft),)


def _recent(seen: Seen, now: float) -> list[TrialRow]:
    """Trials that ended in the last hour."""
    ended = {a.trial for a in seen.attempts if _ended_since(a, now - WINDOW_SECONDS)}
    return [trial for trial in seen.results.trials if trial.number in ended]


def _ended_since(attempt: AttemptRow, moment: float) -> bool:
    return attempt.ended is not None and attempt.ended >= moment


def _eta(seen: Seen, rate: float, workers: int) -> float | None:
    """Trials that are left at the rate of the last hour, then the measurements."""
    if is_over(seen):
        return 0.0
    counted = [limit for limit in limits(seen) if limit.name == "trials"]
    waiting = sum(t.state in ("waiting", "running") for t in seen.results.trials)
    if not counted and works_of(seen.spec):
        return _eta_of_works(seen, workers)
    if not counted and samples(seen.spec):
        return None
    if counted:
        beside = sum(
            t.state in ("waiting", "running") and t.arm != SEARCH for t in seen.results.trials
        )
        running = sum(t.state == "running" and t.arm == SEARCH for t in seen.results.trials)
        waiting = beside + running + int(_left(counted))
    if waiting and not rate:
        return None
    return (waiting / rate if waiting else 0.0) + _confirming(seen, workers)


def _eta_of_works(seen: Seen, workers: int) -> float | None:
    """What strategies may still spend, at what their stages took so far."""
    budget = next((limit for limit in limits(seen) if limit.name == "ft"), None)
    if budget is None or not budget.used:
        return None
    _, _, seconds = seen.stages
    ahead = _left([budget]) * seconds / budget.used
    return ahead / max(1, workers) + _confirming(seen, workers)


def _left(counted: Sequence[Limit]) -> float:
    return sum(max(0.0, limit.limit - limit.used) for limit in counted)


def _confirming(seen: Seen, workers: int) -> float:
    """The measurements that are left; each but those of the first seed trains a run again."""
    _, left = measurements(seen)
    took = [t.seconds for t in seen.results.trials if t.state == "complete" and t.seconds]
    return left * (sum(took) / len(took) if took else 0.0) / max(1, workers)


def best_trial(results: Results) -> TrialRow | None:
    """The best complete trial within the budget of parameters, of any arm."""
    limit = results.budget_parameters
    fitting = [
        trial
        for trial in results.trials
        if trial.state == "complete" and (limit is None or trial.parameters <= limit)
        if results.objective[0] in trial.metrics
    ]
    return min(fitting, key=results.score, default=None)
