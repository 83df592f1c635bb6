"""Whether the allocation that was found beats the uniform one, said out loud."""

import statistics
from dataclasses import dataclass
from typing import Literal

from autolora.plots.measure import SEARCH, Measure, is_uniform, measure
from autolora.plots.table import Row, lines, student_half_width, table
from autolora.study.results import FinalRow, Results

__all__ = ["Row", "Verdict", "lines", "table", "verdict"]

Outcome = Literal["better", "tie", "worse", "open"]


@dataclass(frozen=True)
class Paired:
    """Found minus uniform on the test split, over the seeds that both share.

    Low and high bound 95 % by Student's t over the seeds; from a single seed they are None. They
    speak of these test examples: another test split could differ by more.
    """

    value: float
    low: float | None
    high: float | None
    seeds: int


@dataclass(frozen=True)
class Verdict:
    """What the study says of its question; "open" while it cannot say."""

    outcome: Outcome
    metric: str
    found: Row | None
    uniform: Row | None
    difference: Paired | None
    sentence: str


def verdict(results: Results) -> Verdict:
    """The best allocation of the search against the uniform one of (nearly) equal size.

    Which metric decides is fixed before anything is seen: the one the study optimises.
    """
    rows = table(results)
    counts = measure(results)
    found = next((row for row in rows if row.arm == SEARCH), None)
    uniform = equal_uniform(rows, found, results.budget_parameters)
    if found is None or uniform is None:
        return Verdict("open", counts.name, found, uniform, None, _missing(results, found))
    difference = _paired(_of(results, found, counts), _of(results, uniform, counts))
    outcome = _outcome(difference, counts)
    sentence = _sentence(outcome, counts, (found, uniform), difference)
    return Verdict(outcome, counts.name, found, uniform, difference, sentence)


def equal_uniform(rows: tuple[Row, ...], found: Row | None, budget: int | None) -> Row | None:
    """The uniform arm that stands for "equal parameters".

    Under a budget it is the largest that keeps it (the one that uses the budget best), without
    one the nearest in size to what was found.
    """
    uniform = [row for row in rows if is_uniform(row.arm)]
    kept = [row for row in uniform if budget is not None and row.parameters <= budget]
    if kept:
        return max(kept, key=lambda row: row.parameters)
    size = found.parameters if found else budget or 0
    return min(uniform, key=lambda row: abs(row.parameters - size), default=None)


def _of(results: Results, row: Row, counts: Measure) -> dict[int, FinalRow]:
    return {
        final.seed: final
        for final in results.finals
        if (final.arm, final.trial, final.metric) == (row.arm, row.trial, counts.name)
    }


def _paired(found: dict[int, FinalRow], uniform: dict[int, FinalRow]) -> Paired | None:
    seeds = sorted(found.keys() & uniform.keys())
    if not seeds:
        return None
    values = [found[seed].value - uniform[seed].value for seed in seeds]
    value = statistics.fmean(values)
    if len(seeds) == 1:
        return Paired(value, None, None, 1)
    half = student_half_width(values)
    return Paired(value, value - half, value + half, len(seeds))


def _outcome(difference: Paired | None, counts: Measure) -> Outcome:
    if difference is None or difference.low is None or difference.high is None:
        return "open"
    if difference.low <= 0 <= difference.high:
        return "tie"
    return "better" if counts.key(difference.value) < 0 else "worse"


def _missing(results: Results, found: Row | None) -> str:
    ended = sum(trial.state in ("complete", "pruned", "failed") for trial in results.trials)
    failed = sum(trial.state == "failed" for trial in results.trials)
    if found is None:
        so_far = f"{ended} trials ended, {failed} of them failed" if ended else "none has ended"
        return f"Nothing is found yet: no trial of the search is complete ({so_far})."
    return "Nothing to compare with: no uniform allocation is complete in this study."


_OPENING: dict[Outcome, str] = {
    "better": "The search found a better allocation than uniform ranks",
    "tie": "A tie: the found allocation and uniform ranks cannot be told apart",
    "worse": "Uniform ranks win: the found allocation is worse",
    "open": "Not decided yet",
}


def _sentence(
    outcome: Outcome, counts: Measure, rows: tuple[Row, Row], difference: Paired | None
) -> str:
    found, uniform = rows
    if difference is None:
        name, numbers = f"validation {counts.name}", [_valid(row, counts) for row in rows]
    else:
        name = f"test {counts.name}"
        numbers = [mean.value for row in rows for mean in row.test if mean.metric == counts.name]
    return (
        f"{_OPENING[outcome]}. {name[0].upper()}{name[1:]} {numbers[0]:.4f} against "
        f"{numbers[1]:.4f} for {uniform.arm}, {_size(found, uniform)}; {_certainty(difference)}."
    )


def _valid(row: Row, counts: Measure) -> float:
    value = row.valid.get(counts.name, row.loss)
    return float("nan") if value is None else value


def _certainty(difference: Paired | None) -> str:
    if difference is None:
        return "the test split has not been opened"
    if difference.low is None:
        return f"the difference of {difference.value:+.4f} rests on one seed, too few to decide"
    return (
        f"the paired difference is {difference.value:+.4f} "
        f"(95 % {difference.low:+.4f} to {difference.high:+.4f}, {difference.seeds} seeds)"
    )


def _size(found: Row, uniform: Row) -> str:
    """How the two compare in adapter parameters; within 5 % counts as equal."""
    numbers = f"{found.parameters:,} and {uniform.parameters:,}"
    share = found.parameters / uniform.parameters - 1 if uniform.parameters else 0.0
    if abs(share) <= 0.05:
        return f"at equal size ({numbers} parameters)"
    return (
        f"with {100 * abs(share):.0f} % {'fewer' if share < 0 else 'more'} parameters ({numbers})"
    )
