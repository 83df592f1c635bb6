"""Trials on a cluster of Ray's, through Ray Tune.

A `ray.tune.Tuner` places jobs on the CPUs and GPUs of a cluster and keeps its actors warm between
them. What to try is asked of the study and what came of it is stored by the worker that trained it,
so Ray holds nothing that is needed again: after any end, the same command starts a new Tuner.
See docs/decisions/0013-ray-runs-trials-the-database-knows-them.md.

`place.extras` takes, in Python: `callbacks`, Tune's loggers and callbacks, which see every
evaluation as a result; and `scheduler`, a trial scheduler of Tune's with `time_attr="step"`,
`metric="valid_loss"`, `mode="min"`. A trial that it stops is stored as pruned.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

from autolora.backends import Jobs, Listen, Place
from autolora.backends.ray_tune.exposed import exposed
from autolora.errors import MissingExtra

__all__ = ["exposed", "opened", "schedule"]


def opened(place: Place) -> AbstractContextManager[None]:
    """A context in which the cluster stays joined from one call of `schedule` to the next.

    Raises:
        MissingExtra: if Ray is not installed.
        RayExposed, RayClient, RayUnreachable, OneMachineOnly: if the cluster cannot serve.
    """
    joined: AbstractContextManager[None] = _tuning().joined(place)
    return joined


def schedule(jobs: Jobs, payload: Mapping[str, Any], listen: Listen, place: Place) -> None:
    """Runs the jobs on a cluster, `place.workers` at a time.

    The payload reaches every node through Ray: it must hold no secret.

    Raises:
        MissingExtra: if Ray is not installed.
        RayExposed, RayClient, RayUnreachable, OneMachineOnly: if the cluster cannot serve.
        WorkersLost: if one worker after the other ends without a result.
        AutoloraError: what a job raised; the others are given back.
        KeyboardInterrupt: after the jobs that ran have been given back.
    """
    _tuning().schedule(jobs, payload, listen, place)


def _tuning() -> ModuleType:
    try:
        from autolora.backends.ray_tune import tuning
    except ImportError as error:
        raise MissingExtra("the backend ray_tune", "ray", "ray") from error
    return tuning
