"""Measuring an adapter that no run has measured: one that was cut, say."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from autolora.artifacts.adapter import Adapter
from autolora.spending.work import Work
from autolora.training.device import choose, precise
from autolora.training.evaluate import Passing, answered, values
from autolora.training.fit import Fit
from autolora.training.seeds import seeded


def remeasured(work: Work, stage: str, fit: Fit, adapter: Adapter) -> Fit:
    """A run with another adapter in the place of its own, at the loss that this one has.

    Costs one pass over the validation split.
    """

    def compute() -> tuple[Mapping[str, Any], int]:
        return _values(work, adapter), work.terms.task.examples("valid")

    metrics = work.once(stage, compute, adapter.digest)
    return replace(fit, adapter=adapter, loss=metrics["loss"], metrics=dict(metrics))


def _values(work: Work, adapter: Adapter) -> dict[str, float]:
    task, settings = work.terms.task, work.terms.settings
    device = choose(settings.device)
    with seeded(work.seed, device):
        model = task.model().to(device)
    adapter.attach_to(model, check=False)
    with precise(settings.precision, device):
        passing = Passing(parts=work.shared.parts)
        return values(task.metrics, answered(model, task, "valid", final=False, passing=passing))
