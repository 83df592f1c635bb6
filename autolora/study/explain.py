"""Why a study found what it found: shares, spectra, ranks that were cut, what more would buy.

It reads what is stored; no model is built and nothing is computed on data.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autolora.artifacts.adapter import Adapter
from autolora.nested.gate import TRUSTED
from autolora.study.explain_more import Offer, Step, offers, step
from autolora.study.explain_parts import Part, Weighed, depths, groups, kinds, weighed
from autolora.study.front import Size, front
from autolora.study.results import Results, TrialRow, WorkRow

SEARCH = "search"


@dataclass(frozen=True)
class Scored:
    """Where the worth of single ranks comes from, and whether it was to be trusted.

    Attributes:
        arm: Whose work it is.
        name: What the score is called; None if the work does not tell.
        taus: Kendall's tau of each score over random allocations; empty if none was measured.
        trusted: The best score if it reached what is asked of it.
        least: What is asked.
        evaluated: How many allocations were compared without training.
    """

    arm: str
    name: str | None
    taus: Mapping[str, float]
    trusted: str | None
    least: float
    evaluated: int


@dataclass(frozen=True)
class Tried:
    """An allocation that was compared: its truncated loss, and that after its stretches.

    `stretches` are by what they were trained at ("rate 0.3"; empty where there was one alone);
    `chosen` is the one of them that went on to the end.
    """

    name: str
    adapted: int
    parameters: int
    loss: float | None
    examples: int
    stretches: Mapping[str, float]
    chosen: str | None


@dataclass(frozen=True)
class Spent:
    """A stage, and what it cost; FT are None where no unit is known."""

    stage: str
    example_passes: int
    fine_tunes: float | None
    seconds: float


@dataclass(frozen=True)
class Explanation:
    """What is known of an adapter that a study found; what is not is named in `missing`.

    Attributes:
        parts: Shares by kind, by family of the space, and by depth.
        account: What the stages of the strategy would cost at most; empty for plain trainings.
        spent: What they did cost; of plain trainings, what whole arms did.
        allowance: Example-passes that the strategy was given.
        fine_tune: One FT, in example-passes.
        front: The adapters of several sizes that the strategy trained; empty for most.
    """

    trial: TrialRow
    targets: tuple[Weighed, ...]
    parts: Mapping[str, tuple[Part, ...]]
    scored: Scored | None
    tried: tuple[Tried, ...]
    offers: tuple[Offer, ...]
    step: Step | None
    account: tuple[Spent, ...]
    spent: tuple[Spent, ...]
    allowance: int | None
    fine_tune: int | None
    front: tuple[Size, ...] = ()
    importance: Mapping[str, float] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


def explain(results: Results, trial: TrialRow, adapter: Adapter) -> Explanation:
    """All that a study can say of the adapter of one of its trials.

    Scores are those of the trial's own strategy, or else those of the search beside it: they tell
    of targets and ranks, whichever allocation is looked at.
    """
    own = _work(results, trial.arm)
    told = next((w for w in (own, _work(results, SEARCH)) if w and _scores_ranks(w)), None)
    gains = told.about["scores"] if told else {}
    rows = weighed(results.targets, adapter, gains)
    unit = fine_tune(results)
    return Explanation(
        trial=trial,
        targets=rows,
        parts={
            "kind": kinds(rows),
            "family": groups(rows, results.groups),
            "depth": depths(rows),
        },
        scored=_scored(told) if told else None,
        tried=tried(results, told) if told else (),
        offers=offers(rows),
        step=step(rows, results.budget_parameters),
        account=_account(own, unit) if own else (),
        spent=_stages(own, unit) if own else _arms(results, unit),
        allowance=own.about.get("allowance") if own else None,
        fine_tune=unit,
        front=front(results, trial.arm),
        importance=dict(results.importance),
        missing=tuple(_missing(results, trial, own, told)),
    )


def fine_tune(results: Results) -> int | None:
    """One fine-tune (FT) of the study's length, in example-passes.

    As strategies were told it; without any, the costliest whole run of a single allocation.
    """
    told = [work.about["fine_tune"] for work in results.works if work.about.get("fine_tune")]
    whole = [
        trial.example_passes
        for trial in results.trials
        if trial.state == "complete" and "strategy" not in trial.configuration
    ]
    return max(told or whole, default=0) or None


def _work(results: Results, arm: str) -> WorkRow | None:
    """The work of an arm at the study's own seed, which its kept adapter comes from."""
    seed = results.description.get("seed", 0)
    return next((work for work in results.works if (work.arm, work.seed) == (arm, seed)), None)


def _scores_ranks(work: WorkRow) -> bool:
    """Whether it scores single ranks; others score whole targets, or nothing."""
    scores = work.about.get("scores") or {}
    return bool(scores) and all(isinstance(each, Sequence) for each in scores.values())


def _scored(work: WorkRow) -> Scored:
    about = work.about
    return Scored(
        work.arm,
        about.get("scored") or about.get("trusted"),
        about.get("tau") or {},
        about.get("trusted"),
        TRUSTED,
        about.get("evaluated", 0),
    )


def tried(results: Results, work: WorkRow) -> tuple[Tried, ...]:
    """The allocations that a work compared, from the best by truncated loss."""
    costs = {target.name: target.cost for target in results.targets}
    return tuple(
        Tried(
            each["name"],
            sum(rank > 0 for rank in each["ranks"].values()),
            sum(costs[name] * rank for name, rank in each["ranks"].items()),
            each.get("loss"),
            each.get("examples", 0),
            _of(each["name"], work.about.get("stretches") or {}),
            next(iter(_of(each["name"], {work.about.get("chosen") or "": 0.0})), None),
        )
        for each in work.about.get("candidates") or ()
    )


def _of(name: str, stretches: Mapping[str, float]) -> dict[str, float]:
    """Those of one allocation, by the rate that a strategy put behind its name.

    >>> _of("uniform", {"uniform, rate 0.3": 1.2, "uniform, searched": 1.1, "gates": 1.3})
    {'rate 0.3': 1.2}
    """
    behind = f"{name}, rate "
    return {
        key.removeprefix(f"{name}, ") if key != name else "": loss
        for key, loss in stretches.items()
        if key == name or key.startswith(behind)
    }


def _account(work: WorkRow, unit: int | None) -> tuple[Spent, ...]:
    return tuple(
        _spent(s["name"], s["example_passes"], unit) for s in work.about.get("account", ())
    )


def _stages(work: WorkRow, unit: int | None) -> tuple[Spent, ...]:
    """The ledger; stages of one name are joined."""
    names = dict.fromkeys(stage.name for stage in work.ledger)
    of = {name: [stage for stage in work.ledger if stage.name == name] for name in names}
    return tuple(
        _spent(name, sum(s.example_passes for s in mine), unit, sum(s.seconds for s in mine))
        for name, mine in of.items()
    )


def _arms(results: Results, unit: int | None) -> tuple[Spent, ...]:
    """What the trials of each arm cost."""
    found = []
    for arm in dict.fromkeys(trial.arm for trial in results.trials):
        mine = [trial for trial in results.trials if trial.arm == arm]
        passes = sum(trial.example_passes for trial in mine)
        found.append(_spent(arm, passes, unit, sum(trial.seconds for trial in mine)))
    return tuple(found)


def _spent(name: str, passes: int, unit: int | None, seconds: float = 0.0) -> Spent:
    return Spent(name, passes, passes / unit if unit else None, seconds)


def _missing(
    results: Results, trial: TrialRow, own: WorkRow | None, told: WorkRow | None
) -> Iterator[str]:
    strategy: Any = results.description.get("strategy") or "optuna"
    name = strategy["name"] if isinstance(strategy, Mapping) else strategy
    if own is None:
        yield (f"a ledger by stage: {trial.arm} is a plain training; costs are those of whole arms")
    if told is None:
        yield (
            f"scores of single ranks, and so what was cut and what more would buy: {name} "
            "trains allocations from their start; nest scores ranks"
        )
    elif not told.about.get("tau"):
        yield "a check of the scores: they were not tried on random allocations"
    if name == "optuna" and not results.importance:
        yield "what mattered among searched numbers: a sampler needs at least 4 complete trials"
