"""The result table: one row an arm, its best trial and what the test split said of it."""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scipy.special import stdtrit

from autolora.plots.measure import Measure, Scored, measure, ranking, within_budget
from autolora.study.results import FinalRow, Results

# What a metric can be: few seeds make intervals that would pass its ends.
_SHARES = ("accuracy", "exact_match", "f1_score", "mean_iou", "precision", "recall")
_CORRELATIONS = ("matthews_corrcoef", "pearson_corrcoef", "spearman_corrcoef")
_AMOUNTS = (
    "char_error_rate",
    "loss",
    "mean_absolute_error",
    "mean_squared_error",
    "word_error_rate",
)
_BOUNDS = {
    **dict.fromkeys(_SHARES, (0.0, 1.0)),
    **dict.fromkeys(_CORRELATIONS, (-1.0, 1.0)),
    **dict.fromkeys(_AMOUNTS, (0.0, math.inf)),
    "perplexity": (1.0, math.inf),
    "r2_score": (-math.inf, 1.0),
}


@dataclass(frozen=True)
class Mean:
    """A test metric over seeds; low and high bound 95 %.

    The interval joins, in quadrature, the two things that could have come out differently: the
    test examples (the mean of the seeds' own bootstrap intervals, as all seeds see the same
    examples) and the seeds (Student's t, from two seeds on).
    """

    metric: str
    value: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True)
class Row:
    """One arm. `loss` and `valid` are of the best checkpoint on the validation split."""

    arm: str
    trial: int
    ranks: str
    adapted: int
    parameters: int
    over_budget: bool
    loss: float | None
    valid: Mapping[str, float]
    test: tuple[Mean, ...]
    learning_rate: float | None
    trials: int


def table(results: Results) -> tuple[Row, ...]:
    """One row an arm, the better value first; arms without a completed trial are left out."""
    best: dict[str, Scored] = {}
    for scored in _within_first(results):
        best.setdefault(scored.trial.arm, scored)
    confirmed = {final.arm: final.trial for final in results.finals}
    by_number = {s.trial.number: s for s in ranking(results)}
    chosen = [by_number.get(confirmed.get(arm, -1), scored) for arm, scored in best.items()]
    counts = measure(results)
    return tuple(
        _row(results, scored) for scored in sorted(chosen, key=lambda s: counts.key(s.value))
    )


def test_means(finals: tuple[FinalRow, ...]) -> tuple[Mean, ...]:
    """The mean of each metric over the seeds of one arm."""
    names = dict.fromkeys(final.metric for final in finals)
    return tuple(_mean(name, [f for f in finals if f.metric == name]) for name in names)


def student_half_width(values: list[float]) -> float:
    """Half of the 95 % interval of a mean, by Student's t; 0 for a single value.

    >>> round(student_half_width([1.0, 2.0, 3.0]), 3)
    2.484
    """
    if len(values) < 2:
        return 0.0
    quantile = float(stdtrit(len(values) - 1, 0.975))
    return quantile * statistics.stdev(values) / math.sqrt(len(values))


def lines(results: Results) -> list[dict[str, Any]]:
    """The table as people read it: one mapping from column titles to values a row."""
    rows = table(results)
    metrics = dict.fromkeys(mean.metric for row in rows for mean in row.test)
    return [_line(row, measure(results), tuple(metrics)) for row in rows]


def interval(mean: Mean) -> str:
    """The value and its bounds.

    >>> interval(Mean("loss", 0.1234, 0.1, 0.15, 3))
    '0.1234 (0.1000 to 0.1500)'
    """
    return f"{mean.value:.4f} ({mean.low:.4f} to {mean.high:.4f})"


def _within_first(results: Results) -> list[Scored]:
    """Best first, but trials over the budget last: such a trial stands for its arm if all are."""
    return sorted(ranking(results), key=lambda s: not within_budget(results, s.trial.parameters))


def _row(results: Results, scored: Scored) -> Row:
    trial = scored.trial
    return Row(
        arm=trial.arm,
        trial=trial.number,
        ranks=_ranks(list(trial.allocation.values())),
        adapted=sum(rank > 0 for rank in trial.allocation.values()),
        parameters=trial.parameters,
        over_budget=not within_budget(results, trial.parameters),
        loss=trial.loss,
        valid=dict(trial.metrics),
        test=test_means(
            tuple(f for f in results.finals if (f.arm, f.trial) == (trial.arm, trial.number))
        ),
        learning_rate=trial.configuration.get("learning_rate"),
        trials=sum(other.arm == trial.arm for other in results.trials),
    )


def _ranks(ranks: list[int]) -> str:
    present = [rank for rank in ranks if rank > 0]
    if not present:
        return "none"
    low, high = min(present), max(present)
    return str(high) if low == high else f"{low} to {high}"


def _mean(metric: str, finals: list[FinalRow]) -> Mean:
    value = statistics.fmean(f.value for f in finals)
    seeds = student_half_width([f.value for f in finals])
    below = math.hypot(statistics.fmean(f.value - f.low for f in finals), seeds)
    above = math.hypot(statistics.fmean(f.high - f.value for f in finals), seeds)
    least, most = _BOUNDS.get(metric, (-math.inf, math.inf))
    low, high = max(least, value - below), min(most, value + above)
    return Mean(metric, value, low, high, len(finals))


def _line(row: Row, counts: Measure, metrics: tuple[str, ...]) -> dict[str, Any]:
    means = {mean.metric: interval(mean) for mean in row.test}
    other = {} if counts.name == "loss" else {f"valid {counts.name}": row.valid.get(counts.name)}
    return {
        "arm": row.arm + (" (over budget)" if row.over_budget else ""),
        "ranks": row.ranks,
        "targets": row.adapted,
        "parameters": row.parameters,
        "valid loss": row.loss,
        **other,
        **{f"test {name}": means.get(name) for name in metrics},
        "learning rate": row.learning_rate,
        "trial": row.trial,
    }
