"""Learning rates: the same ones for every arm that is compared."""

from collections.abc import Callable

from optuna.distributions import FloatDistribution

from autolora.errors import Diverged, NoRateConverged
from autolora.space.space import Space
from autolora.training.fit import Fit


def learning_rates(space: Space, count: int) -> tuple[float, ...]:
    """The middles of `count` equal parts of the space's logarithmic range."""
    low, high = rate_range(space)
    return tuple(low * (high / low) ** ((i + 0.5) / count) for i in range(count))


def rate_range(space: Space) -> tuple[float, float]:
    """The lowest and the highest learning rate of a space."""
    domain = space.distributions["learning_rate"]
    assert isinstance(domain, FloatDistribution)
    return domain.low, domain.high


def best_of_rates(fit: Callable[[float], Fit], rates: tuple[float, ...]) -> tuple[float, Fit]:
    """The rate with the lowest validation loss, and its run; rates that diverge are left out.

    Raises:
        NoRateConverged: if all diverge.
    """
    found = []
    for rate in rates:
        try:
            found.append((rate, fit(rate)))
        except Diverged:
            continue
    if not found:
        raise NoRateConverged(rates)
    return min(found, key=lambda each: each[1].loss)
