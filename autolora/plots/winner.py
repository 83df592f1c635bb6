"""The allocation that won, as a table of stages and kinds."""

from collections import defaultdict
from dataclasses import dataclass

from autolora.plots.figures.ranks import stage, stage_labels
from autolora.plots.measure import SEARCH, ranking, within_budget
from autolora.study.results import Results, TrialRow


@dataclass(frozen=True)
class Winner:
    """The best trial; `ranks[stage][kind]` lists the ranks there, 0 for a target left out.

    `labels` maps each stage to the short name it has in figures.
    """

    trial: TrialRow
    kinds: tuple[str, ...]
    ranks: dict[str, dict[str, tuple[int, ...]]]
    labels: dict[str, str]
    adapted: int
    targets: int


def winner(results: Results) -> Winner | None:
    """The trial whose adapter is handed back: the stored best, else the best of the search."""
    trial = best_trial(results)
    if trial is None:
        return None
    ranks: dict[str, dict[str, tuple[int, ...]]] = defaultdict(dict)
    for target in results.targets:
        place = ranks[stage(target)]
        rank = trial.allocation.get(target.name, 0)
        place[target.kind] = (*place.get(target.kind, ()), rank)
    return Winner(
        trial=trial,
        kinds=tuple(dict.fromkeys(target.kind for target in results.targets)),
        ranks=dict(ranks),
        labels=dict(zip(ranks, stage_labels(list(ranks)), strict=True)),
        adapted=sum(rank > 0 for rank in trial.allocation.values()),
        targets=len(results.targets),
    )


def best_trial(results: Results) -> TrialRow | None:
    """The stored best; before there is one, the best that keeps the budget, of the search first."""
    stored = [t for t in results.trials if t.number == results.best]
    kept = [s.trial for s in ranking(results) if within_budget(results, s.trial.parameters)]
    kept.sort(key=lambda trial: trial.arm != SEARCH)
    return next(iter(stored + kept), None)
