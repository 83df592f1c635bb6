"""The figures of a study that monitoring systems read: names, kinds and helps in one table.

Prometheus scrapes them from `autolora metrics`; under Ray the same ones go through
`ray.util.metrics`, which puts `ray_` before each name.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from autolora.study.status import STATES, Status

Values = Iterable[tuple[tuple[str, ...], float | None]]
STUDY = "study"


@dataclass(frozen=True)
class Metric:
    """A metric: what it is called, and its values by its labels. One that is None is not told."""

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    labels: tuple[str, ...]
    values: Callable[[Status], Values]


def _one(value: float | None) -> Values:
    return [((), value)]


def _state(status: Status) -> Values:
    return [((state,), float(state == status.state)) for state in STATES]


def _trials(status: Status) -> Values:
    return [
        ((kind, state), count)
        for kind, states in status.trials.items()
        for state, count in states.items()
    ]


def _best(status: Status) -> Values:
    return [] if status.best is None else [((status.best.metric,), status.best.value)]


METRICS: tuple[Metric, ...] = (
    Metric("autolora_up", "gauge", "Whether the database answers.", (), lambda _: _one(1.0)),
    Metric(
        "autolora_study_state",
        "gauge",
        "1 for the state that the study is in: running, paused, stopped or finished.",
        ("state",),
        _state,
    ),
    Metric(
        "autolora_trials",
        "gauge",
        "Trials by kind of arm (search or baseline) and state.",
        ("arm", "state"),
        _trials,
    ),
    Metric(
        "autolora_best_objective",
        "gauge",
        "The objective of the best trial within the budget, on the validation split.",
        ("metric",),
        _best,
    ),
    Metric(
        "autolora_best_parameters",
        "gauge",
        "Adapter parameters of the best trial within the budget.",
        (),
        lambda s: _one(None if s.best is None else s.best.parameters),
    ),
    Metric(
        "autolora_example_passes_total",
        "counter",
        "Example-passes of all trials that have ended.",
        (),
        lambda s: _one(s.example_passes),
    ),
    Metric(
        "autolora_trial_seconds_total",
        "counter",
        "Seconds that trials took, all workers together.",
        (),
        lambda s: _one(s.seconds),
    ),
    Metric(
        "autolora_example_passes_per_second",
        "gauge",
        "Example-passes a second over the last hour.",
        (),
        lambda s: _one(s.pace.passes_per_second),
    ),
    Metric(
        "autolora_trials_per_hour",
        "gauge",
        "Trials that ended with a result in the last hour, or that rate since the study began.",
        (),
        lambda s: _one(s.pace.trials_per_hour),
    ),
    Metric(
        "autolora_failed_attempts_total",
        "counter",
        "Attempts that ended without a result, by why.",
        ("kind",),
        lambda s: [((kind,), count) for kind, count in s.failures.items()],
    ),
    Metric(
        "autolora_retries_total",
        "counter",
        "Trials that are another attempt at one whose worker was lost.",
        (),
        lambda s: _one(s.retries),
    ),
    Metric(
        "autolora_live_workers",
        "gauge",
        "Workers that train or measure something now.",
        (),
        lambda s: _one(sum(worker.live for worker in s.workers)),
    ),
    Metric(
        "autolora_stale_leases",
        "gauge",
        "Claims whose worker is gone or silent and that nobody took over.",
        (),
        lambda s: _one(s.stale_leases),
    ),
    Metric(
        "autolora_budget_used_ratio",
        "gauge",
        "What part of a budget is used, 0 to 1: trials, ft, seconds, example_passes.",
        ("budget",),
        lambda s: [((limit.name,), limit.share) for limit in s.budget],
    ),
    Metric(
        "autolora_eta_seconds",
        "gauge",
        "Seconds until the study is done at the rate of the last hour.",
        (),
        lambda s: _one(s.pace.eta_seconds),
    ),
    Metric(
        "autolora_measurements",
        "gauge",
        "Arms measured at a seed on the test split, and those left.",
        ("state",),
        lambda s: [(("done",), s.measured[0]), (("left",), s.measured[1])],
    ),
    Metric(
        "autolora_last_result_timestamp_seconds",
        "gauge",
        "When a trial ended last, in seconds since 1970.",
        (),
        lambda s: _one(s.last_result),
    ),
)


class Gauge(Protocol):
    """A gauge of `ray.util.metrics`."""

    def set(self, value: float, tags: dict[str, str]) -> Any:
        """Sets it for these tags."""


class RayGauges:
    """The same figures through gauges that a factory makes: `ray.util.metrics.Gauge`.

    >>> from ray.util.metrics import Gauge
    >>> RayGauges(Gauge).show(status)  # doctest: +SKIP
    """

    def __init__(self, make: Callable[..., Gauge]) -> None:
        """Makes every gauge: `make(name, description=…, tag_keys=…)`."""
        self._made: Mapping[str, Gauge] = {
            metric.name: make(
                metric.name, description=metric.help, tag_keys=(STUDY, *metric.labels)
            )
            for metric in METRICS
        }

    def show(self, status: Status) -> None:
        """Sets every gauge to what the status says; one that is not known stays as it was."""
        for metric in METRICS:
            for labels, value in metric.values(status):
                if value is not None:
                    tags = dict(zip((STUDY, *metric.labels), (status.study, *labels), strict=True))
                    self._made[metric.name].set(float(value), tags)
