"""The run at a high rank from which every lower allocation is cut, and its learning rate."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from autolora.artifacts.adapter import Adapter
from autolora.errors import Diverged, NoRateConverged
from autolora.lora.allocation import Allocation
from autolora.nested.adapters import rebased
from autolora.nested.treats import Prefixes, Weighted
from autolora.nested.truncated import Truncated, sample
from autolora.spending.rates import learning_rates
from autolora.spending.work import Work
from autolora.training.fit import Begun, Fit, Run, begin, train
from autolora.training.settings import TrainingSettings
from autolora.training.treatment import Plain, Treats

Nesting = Literal["plain", "prefixes", "weighted"]
TREATS: dict[Nesting, Treats] = {"plain": Plain, "prefixes": Prefixes, "weighted": Weighted}
PROBED = 128  # examples that judge a learning rate


@dataclass(frozen=True)
class High:
    """What the run at a high rank is.

    Attributes:
        rank: The rank of every target, or the highest that it may have.
        steps: How long it is.
        nesting: How lower ranks are trained with it.
        rates: How many learning rates are tried at first.
        probe: The share of the steps after which they are judged.
        caution: What the best rate is multiplied by for the rest: short runs like high rates,
            which ruin the truncation of long ones.
    """

    rank: int
    steps: int
    nesting: Nesting
    rates: int
    probe: float
    caution: float

    @property
    def probe_steps(self) -> int:
        """The steps after which rates are judged; 0 where there is a single one."""
        return max(1, round(self.steps * self.probe)) if self.rates > 1 else 0

    def settings(self, work: Work) -> TrainingSettings:
        """The study's settings for a run of this length, evaluated twice."""
        evaluations = min(2, self.steps)
        change = {"steps": self.steps, "evaluations": evaluations, "patience": None}
        return work.terms.settings.model_copy(update=change)


@dataclass(frozen=True)
class Trained:
    """The run at a high rank, re-based so that its ranks may be cut, and its rate."""

    adapter: Adapter
    learning_rate: float
    fit: Fit
    probed: dict[str, float]


def high_run(work: Work, high: High, most: Allocation) -> Trained:
    """Finds a learning rate and trains the high rank.

    Every rate takes the first steps as a short run of its own, whose rate falls to zero, so that
    the noise of high rates does not hide what was learnt. The one with the lowest loss goes on,
    more carefully, so that its steps are not lost.

    Args:
        work: Pays for it.
        high: What is run.
        most: The highest rank of every target.

    Raises:
        NoRateConverged: if every rate diverges.
    """
    ranks = Allocation({name: min(rank, high.rank) for name, rank in most.items()})
    settings = high.settings(work)
    rates = learning_rates(work.terms.space, high.rates)
    begun: dict[float, Begun] = {}
    probed: dict[str, float] = {}
    if high.rates > 1:
        about = (ranks.to_json(), settings.model_dump(mode="json"), high.nesting, high.probe_steps)
        probe = partial(_probe, work, high, ranks, settings, begun)
        probed = dict(work.once("learning-rate probe", probe, *about, rates))
    rate = float(min(probed, key=lambda each: probed[each])) if probed else rates[0]
    again = partial(_go_on, work, begun[rate]) if rate in begun else None
    if probed:
        rate *= high.caution
    fit = work.fit(
        f"high rank, {high.nesting}", ranks, rate, settings=settings,
        treats=TREATS[high.nesting], again=again, about=(high.probe_steps, rates),
    )  # fmt: skip
    adapter = fit.adapter if high.nesting == "prefixes" else rebased(fit.adapter)
    return Trained(adapter, rate, fit, probed)


def _probe(
    work: Work,
    high: High,
    ranks: Allocation,
    settings: TrainingSettings,
    begun: dict[float, Begun],
) -> tuple[dict[str, float], int]:
    terms, passes = work.terms, 0
    judged: dict[str, float] = {}
    shown = sample(terms.task, PROBED, seed=work.seed)
    rates = learning_rates(terms.space, high.rates)
    short = settings.model_copy(update={"steps": high.probe_steps, "evaluations": 1})
    for rate in rates:
        proposal = terms.space.fixed(ranks, rate)
        run = Run(terms.task, proposal, short, work.seed, treats=TREATS[high.nesting])
        try:
            first = begin(run, work.shared, high.probe_steps)
        except Diverged:
            passes += terms.passes(high.probe_steps, 0)
            continue
        truncated = Truncated(first.adapter, terms.task, settings)
        judged[str(rate)] = truncated.losses(ranks, shown).mean
        passes += first.ledger.example_passes + truncated.example_passes
        begun[rate] = first
    if not judged:
        raise NoRateConverged(rates)
    best = float(min(judged, key=lambda each: judged[each]))
    return judged, passes - begun[best].ledger.example_passes  # those count with its whole run


def _go_on(work: Work, begun: Begun, run: Run) -> Fit:
    """The rest of the run whose first steps were the best."""
    fit = train(run, work.shared, start=begun.checkpoint)
    return fit.with_cost_of(begun.ledger)
