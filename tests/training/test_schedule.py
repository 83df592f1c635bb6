import pytest
from pydantic import ValidationError

from autolora.training.schedule import share
from autolora.training.seeds import derived
from autolora.training.settings import TrainingSettings


@pytest.mark.parametrize("steps", [1, 2, 7, 160])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5, 1.0])
def test_the_rate_rises_to_its_peak_and_falls(steps, warmup):
    shares = [share(step, steps, warmup) for step in range(steps)]
    peak = max(0, round(steps * warmup) - 1)
    assert shares[peak] == max(shares) == 1
    assert shares[: peak + 1] == sorted(shares[: peak + 1])
    assert shares[peak:] == sorted(shares[peak:], reverse=True)
    assert min(shares) > 0


def test_the_rate_ends_near_0():
    assert share(159, 160, 0.1) < 1e-3


@pytest.mark.parametrize(("steps", "evaluations"), [(1, 1), (10, 3), (160, 8), (7, 7)])
def test_evaluations_are_spread_evenly_and_end_with_the_run(steps, evaluations):
    found = TrainingSettings(steps=steps, evaluations=evaluations).evaluation_steps
    assert len(set(found)) == evaluations
    assert found[-1] == steps
    gaps = [b - a for a, b in zip((0, *found), found, strict=False)]
    assert max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("steps", 0),
        ("batch_size", 0),
        ("warmup", 1.5),
        ("weight_decay", -1),
        ("clip_norm", 0),
        ("dropout", 1.0),
        ("evaluations", 11),
        ("precision", "fp16"),
        ("device", "tpu"),
        ("learning_rate", 0.1),
    ],
)
def test_what_cannot_be_is_refused(key, value):
    with pytest.raises(ValidationError, match=key):
        TrainingSettings.model_validate({"steps": 10, key: value})


def test_seeds_for_different_purposes_differ():
    seeds = {derived(seed, purpose, n) for seed in range(5) for purpose in (0, 1) for n in range(5)}
    assert len(seeds) == 50
