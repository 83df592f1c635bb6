"""What a strategy of one run at a high rank will do, from its terms alone, before it starts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from autolora.errors import AllowanceTooSmall, BudgetTooSmall, Diverged, NoRateConverged
from autolora.lora.allocation import Allocation
from autolora.nested.candidates import Room
from autolora.nested.finish import Finished, Finishing, cost
from autolora.nested.high import PROBED, High, Nesting, Trained, high_run
from autolora.nested.room import high_rank, longest, smallest
from autolora.nested.truncated import SAMPLED
from autolora.spending.found import Found
from autolora.spending.rates import learning_rates
from autolora.spending.stage import Stage
from autolora.spending.work import Terms, Work

JUDGED = 128  # examples that judge what has trained for a stretch
LEAST_STEPS = 8  # of a run, below which nothing can be told
LEAST_PROBE = 4  # of a short run that compares learning rates
_CHECKED = 64  # example-passes that checking kept activations may cost a run
_JUDGING = 16  # of what a last run costs, about how much its candidates may be judged by, each


class Shares(Protocol):
    """The options that say how an allowance is divided; shares are of the whole, or of a run."""

    @property
    def rank(self) -> int | None:
        """The high rank."""

    @property
    def nesting(self) -> Nesting:
        """How lower ranks are trained with it."""

    @property
    def rates(self) -> int:
        """How many learning rates are probed."""

    @property
    def probe(self) -> float:
        """The share of the high run after which they are judged."""

    @property
    def caution(self) -> float:
        """What the best of them is multiplied by."""

    @property
    def high(self) -> float:
        """The share of the run at a high rank."""

    @property
    def choosing(self) -> float:
        """The share of choosing allocations."""

    @property
    def stretch(self) -> float:
        """The share of a last run after which its candidates are judged."""


@dataclass(frozen=True)
class Planned:
    """What is spent on what.

    Attributes:
        high: The run at a high rank.
        sample: How many examples a look at an allocation takes.
        final: How last runs are trained.

    Units: `probes`, `run`, `choosing` and `each` (one last run, its stretches included) are
    example-passes, the most that each may cost.
    """

    high: High
    sample: int
    final: Finishing
    probes: int
    run: int
    choosing: int
    each: int

    @property
    def before(self) -> tuple[Stage, ...]:
        """The stages before the last runs."""
        probes = (Stage("learning-rate probe", self.probes),) if self.probes else ()
        run = Stage(f"high rank, {self.high.nesting}", self.run)
        return (*probes, run, Stage("choosing allocations", self.choosing))


@dataclass(frozen=True)
class Ends:
    """What comes of the high run: last runs, each with candidates, chosen by looks at a sample."""

    runs: int
    candidates: int
    looks: int


def planned(name: str, shares: Shares, terms: Terms, ends: Ends) -> Planned:
    """Divides an allowance.

    Raises:
        AllowanceTooSmall: if a run would be too short to tell anything.
    """
    found = _divided(shares, terms, ends)
    if found is None:
        least = _least(lambda each: _divided(shares, each, ends) is not None, terms)
        raise AllowanceTooSmall(name, terms.allowance / terms.fine_tune, least)
    return found


def trained(work: Work, plan: Planned, room: Room) -> Trained:
    """The run at a high rank.

    Raises:
        BudgetTooSmall: if the budget of parameters does not hold a single rank.
        NoRateConverged: if every rate diverges.
    """
    if room.budget < smallest(room):
        raise BudgetTooSmall(room.budget, smallest(room))
    try:
        return high_run(work, plan.high, Allocation(dict(room.most)))
    except Diverged as error:
        rates = learning_rates(work.terms.space, plan.high.rates)
        raise NoRateConverged(rates) from error


def remaining(work: Work, plan: Planned, choosing: int) -> int:
    """What a last run may take: its own part, and what choosing, just done, has left over.

    Args:
        work: The last line of its ledger is that of choosing.
        plan: What was planned.
        choosing: What choosing might have cost.
    """
    return min(plan.each + choosing - work.ledger[-1].example_passes, work.left)


def concluded(
    work: Work, high: Trained, finished: Finished, chosen: Mapping[str, Any], **more: Any
) -> Found:
    """What came of a search, and what led to it: the high run, the choice, the last run."""
    about = {
        "probed": high.probed,
        "high_rate": high.learning_rate,
        "high_loss": high.fit.loss,
        "peak_parameters": high.adapter.parameters,
        "chosen": finished.candidate.name,
        "stretches": dict(finished.judged),
        **more,
        **chosen,
    }
    rate = finished.candidate.learning_rate
    return Found.of(finished.fit, rate, tuple(work.ledger), **about)


def looked(terms: Terms, examples: int) -> int:
    """How many examples a sample has that is asked for so many."""
    return min(-(-examples // SAMPLED) * SAMPLED, terms.task.examples("valid"))


def _divided(shares: Shares, terms: Terms, ends: Ends) -> Planned | None:
    """With learning rates compared if the allowance holds that, with a single one if not."""
    steps = longest(terms, int(shares.high * terms.allowance), 2)
    enough = round(steps * shares.probe) >= LEAST_PROBE
    several = _with_rates(shares, terms, ends, shares.rates) if enough else None
    return several or _with_rates(shares, terms, ends, 1)


def _with_rates(shares: Shares, terms: Terms, ends: Ends, rates: int) -> Planned | None:
    least = min(LEAST_STEPS, terms.settings.steps)
    steps = longest(terms, int(shares.high * terms.allowance), 2)
    rank = high_rank(terms, shares.rank)
    high = High(rank, steps, shares.nesting, rates, shares.probe, shares.caution)
    run = terms.passes(steps, min(2, steps)) + _once(terms) + _checks(terms)
    choosing = max(int(shares.choosing * terms.allowance), looked(terms, SAMPLED) * ends.looks)
    last = ends.runs * (ends.candidates + 1) * _checks(terms)
    each = (terms.allowance - _probes(terms, high) - run - choosing - last) // ends.runs
    sample = max(SAMPLED, min(2 * JUDGED, _whole(choosing // ends.looks)))
    judged = max(SAMPLED, min(JUDGED, _whole(each // _JUDGING)))
    final = Finishing(shares.stretch, judged, sample)
    # A stretch is less than its run, so that takes 2 steps whatever the study's length.
    if steps < least or cost(terms, max(2, least), ends.candidates, final) > each:
        return None
    return Planned(high, sample, final, _probes(terms, high), run, choosing, each)


def _whole(examples: int) -> int:
    """As many as whole batches of a sample hold."""
    return examples // SAMPLED * SAMPLED


def _probes(terms: Terms, high: High) -> int:
    if high.rates == 1:
        return 0
    other = terms.passes(high.probe_steps, 0) + _checks(terms)
    return (high.rates - 1) * other + high.rates * looked(terms, PROBED)


def _once(terms: Terms) -> int:
    """What the first run costs beside its steps: the start of heads, activations that are kept.

    It falls to the learning-rate probe where another rate than the first is the best.
    """
    settings, task = terms.settings, terms.task
    times = int(settings.head_start == "probe" and bool(task.head)) + int(settings.cache_bytes > 0)
    return times * (task.examples("train") + task.examples("valid") + _CHECKED)


def _checks(terms: Terms) -> int:
    """What every run costs to check the activations that are kept."""
    return _CHECKED if terms.settings.cache_bytes else 0


def _least(holds: Callable[[Terms], bool], terms: Terms) -> float:
    """The smallest allowance that holds a plan, in FT, rounded up to two decimals."""
    low, high = 0, terms.fine_tune
    while not holds(replace(terms, allowance=high)):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(replace(terms, allowance=middle)) else (middle, high)
    return -(-high * 100 // terms.fine_tune) / 100
