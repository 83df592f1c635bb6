"""What each pruner does with curves drawn by hand."""

import inspect

import optuna
import pytest

from autolora import pruners
from autolora.registry import load, names, options
from autolora.study.stopping import FEWEST, dominated

EVALUATIONS = 8
NAMES = names(pruners)


def study(
    name: str, curves: list[list[float]], direction: str = "minimize", **given: int
) -> optuna.Study:
    """A study in which trials with these losses, one an evaluation, have finished."""
    function = load(pruners, name).pruner
    pruner = function(evaluations=EVALUATIONS, **options(function, given, name))
    made = optuna.create_study(direction=direction, pruner=pruner)
    for losses in curves:
        values = dict(enumerate(losses, 1))
        made.add_trial(optuna.create_trial(value=losses[-1], intermediate_values=values))
    return made


def stopped_at(made: optuna.Study, losses: list[float]) -> int | None:
    """The evaluation after which a new trial is stopped, None if it runs to its end."""
    trial = made.ask()
    for evaluation, loss in enumerate(losses, 1):
        trial.report(loss, evaluation)
        if trial.should_prune():
            return evaluation
    return None


def flat(*losses: float) -> list[list[float]]:
    return [[loss] * EVALUATIONS for loss in losses]


def test_none_never_stops() -> None:
    assert stopped_at(study("none", flat(0.1, 0.1, 0.1, 0.1, 0.1, 0.1)), [9.0] * 8) is None


def test_median_stops_what_is_worse_than_the_median_after_its_warmup() -> None:
    curves = flat(0.1, 0.2, 0.3, 0.4, 0.5)
    assert stopped_at(study("median", curves), [0.31] * 8) == 3
    assert stopped_at(study("median", curves), [0.29] * 8) is None
    assert stopped_at(study("median", curves, warmup=5), [0.31] * 8) == 6
    falling = [0.9, 0.8, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2]
    assert stopped_at(study("median", curves), falling) is None, "the best so far counts"


def test_median_waits_for_enough_trials() -> None:
    assert stopped_at(study("median", flat(0.1, 0.1, 0.1, 0.1)), [9.0] * 8) is None
    assert stopped_at(study("median", flat(0.1, 0.1, 0.1, 0.1, 0.1)), [9.0] * 8) == 3
    short = [[0.1, 0.1, 0.1]] * 5 + flat(0.1, 0.1)
    assert stopped_at(study("median", short, warmup=3), [9.0] * 8) is None


def test_halving_lets_the_better_half_pass_each_rung() -> None:
    made = study("halving", [])
    ends = [stopped_at(made, losses) for losses in flat(0.5, 0.4, 0.6, 0.45, 0.1)]
    assert ends[0] is None, "the first has nobody to be worse than"
    assert ends[1] is None
    assert ends[2] == 2, "the worst of three at the first rung"
    assert ends[4] is None, "the best passes every rung"


@pytest.mark.parametrize("rung", [1, 2, 4])
def test_halving_looks_first_at_its_first_rung(rung: int) -> None:
    made = study("halving", [], first_rung=rung)
    stopped_at(made, [0.1] * 8)
    assert stopped_at(made, [0.2] * 8) == rung


@pytest.mark.parametrize("name", [name for name in NAMES if name != "none"])
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_losses_are_low_where_they_are_good_whatever_the_metric(name: str, direction: str) -> None:
    """A study may maximise an accuracy; what its trials report is a loss all the same."""
    made = study(name, [], direction)
    for losses in flat(0.4, 0.41, 0.42, 0.43, 0.44):
        trial = made.ask()
        for evaluation, loss in enumerate(losses, 1):
            trial.report(loss, evaluation)
            trial.should_prune()
        made.tell(trial, 1 - losses[-1])
    assert stopped_at(made, [0.9] * 8) in (2, 3)
    assert stopped_at(made, [0.1] * 8) is None
    assert made.direction.name == direction.upper(), "only the pruner looks at losses"


@pytest.mark.parametrize("name", NAMES)
def test_every_option_has_a_type_and_a_default(name: str) -> None:
    parameters = dict(inspect.signature(load(pruners, name).pruner).parameters)
    del parameters["evaluations"]
    for option in parameters.values():
        assert option.default is not inspect.Parameter.empty
        assert option.annotation is not inspect.Parameter.empty


OTHERS = [(10 * (i + 1), {4: loss, 8: loss / 2}) for i, loss in enumerate((0.1, 0.2, 0.3, 0.4))]


@pytest.mark.parametrize(
    ("step", "loss", "parameters", "stopped"),
    [
        (4, 0.26, 40, True),
        (4, 0.25, 40, False),
        (8, 0.13, 40, True),
        (8, 0.12, 40, False),
        (4, 9.0, 39, False),  # only three are as small
        (6, 9.0, 40, False),  # nobody was measured there
        (4, 9.0, 5, False),  # the smallest of all cannot be dominated
    ],
)
def test_dominated(step: int, loss: float, parameters: int, stopped: bool) -> None:
    assert dominated(step, loss, parameters, OTHERS) is stopped
    assert dominated(step, loss, parameters, reversed(OTHERS)) is stopped


def test_dominated_needs_some_to_compare_with() -> None:
    assert len(OTHERS) == FEWEST
    assert not dominated(4, 9.0, 100, OTHERS[1:])
    assert not dominated(4, 9.0, 100, [])
