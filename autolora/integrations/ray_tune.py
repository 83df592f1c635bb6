"""A study's training in a Tuner of the user's own: OptunaSearch, PBT, any scheduler of Tune's.

    from ray import tune
    from autolora.integrations.ray_tune import param_space, trainable

    tuner = tune.Tuner(
        trainable("digits"),
        param_space=param_space("digits"),
        tune_config=tune.TuneConfig(
            metric="valid_loss",
            mode="min",
            num_samples=20,
            search_alg=OptunaSearch(),
            scheduler=ASHAScheduler(time_attr="step", max_t=140, grace_period=28),
        ),
    )
    best = tuner.fit().get_best_result(metric="loss")

Tune holds such a search, and no database of ours. A database behind OptunaSearch together with
`Tuner.restore` loses trials; what is to survive the end of its driver is a study, whose backend can
be `ray_tune`.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from autolora.artifacts.folder import save
from autolora.errors import MissingExtra
from autolora.space.proposal import Proposal
from autolora.space.space import Space
from autolora.study.description import StudySpec, described, read_study
from autolora.study.session import Session
from autolora.training.curve import CurvePoint
from autolora.training.fit import Run, train
from autolora.training.midway import Midway, about
from autolora.training.shared import Shared

StudyLike = StudySpec | str | PathLike[str]
_RUN = "run.safetensors"


def param_space(space: Space | StudyLike, *, allow_code: bool = False) -> dict[str, Any]:
    """The domains of a search space in Tune's terms, as `param_space` of a Tuner.

    Args:
        space: A space, or a study whose space it is, by its description, name or file.
        allow_code: Whether code that the description names may run.

    Raises:
        MissingExtra: if Ray is not installed.
        UsageError: if the study cannot be.
    """
    if not isinstance(space, Space):
        space = Session(_spec(space), allow_code).space
    return {name: _domain(domain) for name, domain in space.distributions.items()}


def trainable(study: StudyLike, *, allow_code: bool = False) -> Callable[[dict[str, Any]], None]:
    """What trains a configuration of `param_space` as a trial of the study would.

    Every evaluation is reported: `step`, `train_loss` and `valid_loss` there, `parameters`, and the
    task's metrics at the best evaluation so far. With each comes a checkpoint to go on from, which
    PBT needs: a rate may change on the way, while other ranks begin anew. The last one holds the
    adapter of the best evaluation instead, for `autolora.load`.

    Args:
        study: Its description, name or file; task, space, training, budget and seed count.
        allow_code: Whether code that the description names may run.

    Raises:
        MissingExtra: if Ray is not installed.
        UsageError: if the study cannot be.
    """
    _tune()
    text = json.dumps(_spec(study).model_dump(mode="json"), sort_keys=True)

    def trial(config: dict[str, Any]) -> None:
        _trial(text, allow_code, config)

    return trial


def _trial(text: str, allow_code: bool, config: Mapping[str, Any]) -> None:
    session, shared = _opened(text, allow_code)
    proposal = session.space.proposal(config, session.budget_parameters)
    parameters = proposal.allocation.parameters(session.space.targets)
    points: list[CurvePoint] = []

    def watch(point: CurvePoint) -> bool:
        points.append(point)
        return False

    def keep(midway: Midway) -> None:
        with _folder() as folder:
            content = midway.to_bytes({"allocation": dict(proposal.allocation)})
            (folder / _RUN).write_bytes(content)
            _report(points[-1], midway.evaluated.metrics, parameters, folder)

    run = Run(session.task, proposal, session.spec.training, session.spec.seed)
    fitted = train(run, shared, watch, _left(proposal), keep)
    with _folder() as folder:
        save(fitted.adapter, folder / "adapter")
        _report(fitted.curve[-1], fitted.metrics, parameters, folder / "adapter")


def _report(point: CurvePoint, metrics: Mapping[str, float], parameters: int, folder: Path) -> None:
    numbers = {
        "step": point.step,
        "train_loss": point.train_loss,
        "valid_loss": point.valid_loss,
        "parameters": parameters,
        **metrics,
    }
    tune = _tune()
    tune.report(numbers, checkpoint=tune.Checkpoint.from_directory(str(folder)))


def _left(proposal: Proposal) -> Midway | None:
    """Where Tune wants the run to go on; None if it begins anew."""
    checkpoint = _tune().get_checkpoint()
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        path = Path(folder) / _RUN
        if not path.exists():
            return None
        content = path.read_bytes()
    if about(content).get("allocation") != dict(proposal.allocation):
        return None
    return Midway.from_bytes(content)


@lru_cache(maxsize=1)
def _opened(text: str, allow_code: bool) -> tuple[Session, Shared]:
    """Task, space and what runs have in common, once for each process."""
    session = Session(described(json.loads(text)), allow_code)
    return session, Shared(layers=frozenset(target.layer for target in session.space.targets))


def _spec(study: StudyLike) -> StudySpec:
    return study if isinstance(study, StudySpec) else read_study(study)


def _domain(domain: BaseDistribution) -> Any:
    tune = _tune()
    if isinstance(domain, IntDistribution):
        return tune.randint(domain.low, domain.high + 1)
    if isinstance(domain, FloatDistribution):
        draw = tune.loguniform if domain.log else tune.uniform
        return draw(domain.low, domain.high)
    assert isinstance(domain, CategoricalDistribution)
    return tune.choice(list(domain.choices))


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _tune() -> Any:
    try:
        from ray import tune
    except ImportError as error:
        raise MissingExtra("the integration with Ray Tune", "ray", "ray") from error
    return tune
