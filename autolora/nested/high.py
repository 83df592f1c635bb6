"""The run at a high rank from which every lower allocation is cut, and its learning rate."""

import math
from dataclasses import asdict, dataclass
from typing import Literal

from autolora.artifacts.adapter import Adapter
from autolora.errors import NoRateConverged
from autolora.lora.allocation import Allocation
from autolora.lora.scale import RULES
from autolora.nested.adapters import rebased
from autolora.nested.treats import Prefixes, Weighted
from autolora.nested.truncated import sample
from autolora.nested.trying import Judged, Tried, tried
from autolora.spending.rates import learning_rates
from autolora.spending.work import Scale, Terms, Work
from autolora.training.fit import Fit, Run
from autolora.training.settings import TrainingSettings
from autolora.training.treatment import Plain, Treats

Nesting = Literal["plain", "prefixes", "weighted"]
Scaling = Literal["constant", "root", "rank"]
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
        scale: How the scale falls from the budget's uniform rank to the high one, so that the same
            learning rates suit both: not at all, with the root of the rank, or with the rank.
        caution: What the best rate is multiplied by for the rest: short runs like high rates,
            which ruin the truncation of long ones.
    """

    rank: int
    steps: int
    nesting: Nesting
    rates: int
    probe: float
    caution: float
    scale: Scaling = "root"

    @property
    def probe_steps(self) -> int:
        """The steps after which rates are judged; 0 where there is a single one."""
        return max(1, round(self.steps * self.probe)) if self.rates > 1 else 0

    def rule(self, terms: Terms) -> Scale:
        """The scale rule of the run, which at the budget's uniform rank gives the space's scale.

        Source: Kalajdzievski 2023 (rsLoRA), theorem 3.2, for the root.
        """
        rule, value = terms.space.scales[0]
        low = max(1, terms.uniform_rank)
        at_low = RULES[rule](value)(low)
        if self.scale == "constant":
            return rule, value
        if self.scale == "root":
            return "alpha_over_root_rank", at_low * math.sqrt(low)
        return "alpha_over_rank", at_low * low

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
    probe = _probed(work, high, ranks, settings) if high.rates > 1 else None
    if probe is not None and probe.best is None:
        raise NoRateConverged(rates)
    rate = high.caution * float(probe.best) if probe and probe.best else rates[0]
    fit = work.fit(
        f"high rank, {high.nesting}",
        ranks,
        rate,
        settings=settings,
        treats=TREATS[high.nesting],
        left=probe.left if probe else None,
        about=(high.probe_steps, rates),
        scale=high.rule(work.terms),
    )
    adapter = fit.adapter if high.nesting == "prefixes" else rebased(fit.adapter)
    return Trained(adapter, rate, fit, dict(probe.judged) if probe else {})


def _probed(work: Work, high: High, ranks: Allocation, settings: TrainingSettings) -> Tried:
    """A short run at each rate, judged on examples of the validation split.

    Of rates that cannot be told apart the middle one is taken: a run that is too short to learn
    anything orders them by chance, and the highest may never leave the plateau it begins on.
    """
    terms = work.terms
    short = settings.model_copy(update={"steps": high.probe_steps, "evaluations": 1})
    treats, rule = TREATS[high.nesting], high.rule(terms)
    rates = learning_rates(terms.space, high.rates)
    runs = {
        str(rate): Run(
            terms.task, terms.proposal(ranks, rate, rule), short, work.seed, treats=treats
        )
        for rate in rates
    }
    middle = (len(rates) - 1) / 2
    central = sorted(range(len(rates)), key=lambda i: (abs(i - middle), i))
    about = (ranks.to_json(), settings.model_dump(mode="json"), asdict(high), list(runs))
    shown = sample(terms.task, PROBED, seed=work.seed)
    judged = Judged(shown, [str(rates[i]) for i in central])
    return tried(work, "learning-rate probe", runs, judged, about)
