"""Whether the allocation that was found beats the uniform one, said out loud."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from autolora.plots.measure import SEARCH, Measure, is_uniform, measure
from autolora.plots.table import Row, lines, student_half_width, table
from autolora.study.results import FinalRow, Results

__all__ = ["Row", "Verdict", "lines", "table", "verdict"]

Outcome = Literal["better", "tie", "worse", "open"]
_RESAMPLES = 1000


@dataclass(frozen=True)
class Paired:
    """Found minus uniform on the test split, over the seeds that both share.

    Low and high bound 95 %. They join, in quadrature, what could have come out differently: the
    seeds (Student's t, from two on) and, where the loss decides, the test examples (paired
    bootstrap over them, of the difference that the seeds show on average). From a single seed
    without losses of examples they are None.
    """

    value: float
    low: float | None
    high: float | None
    seeds: int
    examples: int = 0


@dataclass(frozen=True)
class Verdict:
    """What the study says of its question; "open" while it cannot say."""

    outcome: Outcome
    metric: str
    found: Row | None
    uniform: Row | None
    difference: Paired | None
    sentence: str
    bias: str | None = None


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
    difference = _paired(results, found, uniform, counts)
    outcome = _outcome(difference, counts)
    sentence = _sentence(outcome, counts, (found, uniform), difference)
    bias = _bias((found, uniform), counts)
    return Verdict(outcome, counts.name, found, uniform, difference, sentence, bias)


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


def _paired(results: Results, found: Row, uniform: Row, counts: Measure) -> Paired | None:
    ours, theirs = _of(results, found, counts), _of(results, uniform, counts)
    seeds = sorted(ours.keys() & theirs.keys())
    if not seeds:
        return None
    values = [ours[seed].value - theirs[seed].value for seed in seeds]
    value = statistics.fmean(values)
    halves = [student_half_width(values)] if len(seeds) > 1 else []
    differences = _by_example(results, (found.arm, uniform.arm), seeds)
    if counts.name == "loss" and differences is not None:
        halves.append(bootstrap_half_width(differences))
    if not halves:
        return Paired(value, None, None, len(seeds))
    half, examples = math.hypot(*halves), 0 if differences is None else len(differences[0])
    return Paired(value, value - half, value + half, len(seeds), examples)


def _by_example(
    results: Results, arms: tuple[str, str], seeds: Sequence[int]
) -> tuple[np.ndarray, np.ndarray] | None:
    """The difference on each test example, on average over seeds, and the example's weight."""
    rows = {(row.arm, row.seed): row for row in results.losses}
    pairs = [(rows.get((arms[0], seed)), rows.get((arms[1], seed))) for seed in seeds]
    differences = [np.subtract(a.losses, b.losses) for a, b in pairs if a and b]
    if len(differences) < len(seeds):
        return None
    first = pairs[0][0]
    assert first is not None
    return np.mean(differences, axis=0), np.asarray(first.weights)


def bootstrap_half_width(differences: tuple[np.ndarray, np.ndarray]) -> float:
    """Half of the 95 % interval of a weighted mean of paired differences, over examples.

    Source: Efron & Tibshirani 1993, chapter 13 (percentile interval).
    """
    values, weights = differences
    random, means = np.random.default_rng(0), []
    for _ in range(_RESAMPLES):
        drawn = random.integers(len(values), size=len(values))
        means.append(np.average(values[drawn], weights=weights[drawn]))
    low, high = np.quantile(means, (0.025, 0.975))
    return float(high - low) / 2


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
    advice = _advice(outcome, rows, numbers)
    return (
        f"{_OPENING[outcome]}. {name[0].upper()}{name[1:]} {numbers[0]:.4f} against "
        f"{numbers[1]:.4f} for {uniform.arm}, {_size(found, uniform)}; "
        f"{_certainty(difference)}.{advice}"
    )


def _advice(outcome: Outcome, rows: tuple[Row, Row], numbers: list[float]) -> str:
    """What to take where both do as well: the smaller one, or of equal sizes the simpler one."""
    found, uniform = rows
    if outcome != "tie":
        return ""
    apart = abs(numbers[0] / numbers[1] - 1) if numbers[1] else 0.0
    smaller = found.parameters < 0.95 * uniform.parameters
    taken = "the found allocation, which is smaller" if smaller else uniform.arm
    return f" Within {100 * apart:.1f} % of each other: take {taken}."


def _valid(row: Row, counts: Measure) -> float:
    value = row.valid.get(counts.name, row.loss)
    return float("nan") if value is None else value


def _certainty(difference: Paired | None) -> str:
    if difference is None:
        return "the test split has not been opened"
    if difference.low is None:
        return f"the difference of {difference.value:+.4f} rests on one seed, too few to decide"
    seeds = f"{difference.seeds} seeds" if difference.seeds > 1 else "one seed"
    over = f", {difference.examples:,} examples" if difference.examples else ""
    return (
        f"the paired difference is {difference.value:+.4f} "
        f"(95 % {difference.low:+.4f} to {difference.high:+.4f}, {seeds}{over})"
    )


def _bias(rows: tuple[Row, Row], counts: Measure) -> str | None:
    """How much better valid looks than test, for what was searched and for what was not."""
    gaps = []
    for row in rows:
        tests = [mean.value for mean in row.test if mean.metric == counts.name]
        if not tests:
            return None
        gaps.append(counts.key(tests[0]) - counts.key(_valid(row, counts)))
    return (
        f"Validation {counts.name} flatters the found allocation by {gaps[0]:+.4f} and "
        f"{rows[1].arm} by {gaps[1]:+.4f} against test: the difference is what choosing costs."
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
