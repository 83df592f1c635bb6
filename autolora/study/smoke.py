"""The same study made small: it trains for real, and ends in under a minute or two."""

from collections.abc import Mapping
from typing import Any

from autolora.study.description import StudySpec

_STEPS, _BATCH, _TRIALS, _FT = 4, 8, 2, 8.0
# Train stays large enough that no class of valid or test is missing in it.
_EXAMPLES: Mapping[str, int] = {"train": 200, "valid": 24, "test": 24}


def smoke(spec: StudySpec) -> StudySpec:
    """A study of few steps, trials and examples, one uniform rank and one seed, as NAME-smoke.

    Splits that are counts become smaller; shares, and splits that are given whole, stay as they
    are. Everything runs in this process.
    """
    training, budget = spec.training, spec.budget
    steps = min(training.steps, _STEPS)
    opens = not spec.works and (budget.uniform_rank or budget.parameters) is not None
    small = {
        "name": f"{spec.name[:57]}-smoke",
        "task": _small(spec.task),
        "training": {
            "steps": steps,
            "evaluations": min(training.evaluations, 2, steps),
            "batch_size": min(training.batch_size, _BATCH),
            "accumulate": 1,
        },
        "budget": {
            "trials": None if spec.works else min(budget.trials or _TRIALS, _TRIALS),
            "ft": _FT if spec.works else None,
            "seconds": None,
            "example_passes": None,
        },
        "baselines": {
            # A sampler's race within a budget opens with the largest uniform allocation anyway.
            "uniform_ranks": () if opens else spec.baselines.uniform_ranks[:1],
            "learning_rates": 1,
        },
        "confirm": {"seeds": 1},
        "backend": {"name": "inline", "workers": 1},
    }
    return StudySpec.model_validate(_merged(spec.model_dump(), small))


def _merged(whole: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes put into their places; a task is replaced as it is."""
    merged = dict(whole)
    for key, value in changes.items():
        deeper = isinstance(value, Mapping) and key != "task"
        merged[key] = _merged(merged[key], value) if deeper else value
    return merged


def _small(block: Mapping[str, Any]) -> dict[str, Any]:
    """A task whose splits are smaller, wherever in it they stand."""
    small = {k: _small(v) if isinstance(v, Mapping) else v for k, v in block.items()}
    if isinstance(small.get("splits"), dict):
        small["splits"] |= {
            name: min(size, _EXAMPLES[name])
            for name, size in small["splits"].items()
            if name in _EXAMPLES and isinstance(size, int)
        }
    return small
