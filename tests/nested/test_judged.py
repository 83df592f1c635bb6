"""What goes on of several beginnings: the lowest loss, or the most welcome of those near it."""

import torch

from autolora.nested.truncated import Losses
from autolora.nested.trying import Judged


def of(*losses: float) -> Losses:
    return Losses(torch.tensor(losses, dtype=torch.float64), torch.ones(len(losses)))


NOISY = of(1.0, 2.0, 3.0, 2.0)
NEAR = of(2.0, 1.0, 2.0, 3.1)  # 0.025 worse, in no direction for sure
FAR = of(1.5, 2.6, 3.5, 2.6)  # 0.55 worse, for every example
LOST = of(float("nan"), 1.0, 1.0, 1.0)


def test_the_lowest_loss_without_a_preference() -> None:
    assert Judged(()).best({"near": NEAR, "noisy": NOISY, "far": FAR}) == "noisy"


def test_the_preferred_of_those_that_are_not_surely_worse() -> None:
    judged = Judged((), ["far", "near", "noisy"])
    assert judged.best({"noisy": NOISY, "near": NEAR, "far": FAR}) == "near"
    assert judged.best({"noisy": NOISY, "far": FAR}) == "noisy"


def test_what_is_not_a_number_never_goes_on() -> None:
    assert Judged((), ["lost", "far"]).best({"lost": LOST, "far": FAR}) == "far"
    assert Judged(()).best({"lost": LOST, "far": FAR}) == "far"


def test_nothing_is_left_where_all_diverged() -> None:
    assert Judged((), ["near"]).best({}) is None
