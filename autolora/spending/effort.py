"""How many learning rates an allowance holds: the same for all arms where it suffices."""

from autolora.errors import AllowanceTooSmall
from autolora.spending.rates import learning_rates
from autolora.spending.work import Terms


def rates_within(
    strategy: str, terms: Terms, count: int, each: int, before: int = 0
) -> tuple[float, ...]:
    """The rates that a strategy tries: `count` of them, or as many as the allowance holds.

    Args:
        strategy: Its name, for the error.
        terms: What it is given.
        count: How many it would try.
        each: Example-passes that one rate costs.
        before: Example-passes that are spent once, whatever the rates.

    Raises:
        AllowanceTooSmall: if it does not hold one.
    """
    affordable = (terms.allowance - before) // each
    if affordable < 1:
        unit = terms.fine_tune
        raise AllowanceTooSmall(strategy, terms.allowance / unit, (before + each) / unit)
    return learning_rates(terms.space, min(count, affordable))
