"""EVA: ranks and `down` from the singular vectors of what layers receive, before training."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pydantic import Field

from autolora.lora.allocation import Allocation
from autolora.lora.attach import Attached
from autolora.lora.targets import Target
from autolora.nested.base import sampled
from autolora.nested.full_gradients import full_gradients
from autolora.nested.observed import observable, observe
from autolora.nested.started import Starts, starting_from
from autolora.nested.variance import Directions, of_gradient, of_inputs
from autolora.space.read import Strict
from autolora.spending import Found, Stage, Work
from autolora.spending.effort import rates_within
from autolora.spending.filling import average_rank, counted, fitting, most_ranks, topped_up
from autolora.spending.rates import best_of_rates
from autolora.spending.work import Terms
from autolora.training.device import choose
from autolora.training.seeds import seeded

_NAME, _RUN = "eva", "eva"
_INPUTS, _GRADIENTS = "inputs of layers", "gradients in the place of inputs"
Parted = Mapping[str, tuple[Target, ...]]


class OPTIONS(Strict):
    """How activations decide.

    `batches` training batches go through the base, or one pass where the data has fewer; of every
    layer about `inputs` input vectors are looked at. No target gets more than `rho` times the
    budget's average rank, but for what fills the parameters in the end.
    """

    learning_rates: int = Field(default=3, ge=1, le=20)
    rho: float = Field(default=2.0, ge=1, le=64)
    batches: int = Field(default=16, ge=1)
    inputs: int = Field(default=2048, ge=2)


def account(options: OPTIONS, terms: Terms) -> tuple[Stage, ...]:
    """The forward passes, gradients for targets without inputs of their own, the fine-tunes.

    Raises:
        AllowanceTooSmall: if it does not hold what comes before and one rate.
    """
    before = _before(options, terms, parted(terms))
    rates = _rates(options, terms, before)
    return (*before, Stage(_RUN, len(rates) * terms.fine_tune))


def search(options: OPTIONS, work: Work) -> Found:
    """Observes, allocates, trains at every learning rate and hands back the best.

    Raises:
        AllowanceTooSmall: if the allowance does not hold what comes before and one rate.
        NoRateConverged: if every learning rate diverges.
    """
    terms = work.terms
    seen = _Seen(work, options)
    rates = _rates(options, terms, _before(options, terms, seen.parted))
    ratios = {**seen.ratios(_INPUTS), **seen.ratios(_GRADIENTS)}
    start = Allocation(redistributed(ratios, options, terms))
    treats = starting_from(seen.starts)
    told = options.model_dump(mode="json")
    rate, fit = best_of_rates(
        lambda each: work.fit(_RUN, start, each, treats=treats, about=told), rates
    )
    about: dict[str, Any] = {
        "learning_rates": list(rates),
        "explained": ratios,
        "by_gradient": [t.name for t in seen.parted[_GRADIENTS]],
        "never_called": [n for n in terms.costs if n not in ratios],
        "ranks": dict(start),
    }
    return Found.of(fit, rate, tuple(work.ledger), **about)


def redistributed(
    ratios: Mapping[str, list[float]], options: OPTIONS, terms: Terms
) -> dict[str, int]:
    """Ranks where directions explain the most of their layer's variance, the best first.

    The paper takes as many directions as the uniform allocation has ranks; here, as many as the
    parameters hold.

    Source: Paischer et al. 2024 (EVA), section 3.3.
    """
    costs, most = terms.costs, most_ranks(terms)
    cap = max(1, round(options.rho * average_rank(terms)))
    order = sorted(
        (-ratio, which, name)
        for name, found in ratios.items()
        for which, ratio in enumerate(found[: min(cap, most[name])])
    )
    taken = fitting(((name, which) for _, which, name in order), costs, terms.parameters)
    by_first = sorted(costs, key=lambda n: -sum(ratios.get(n, ())[:1]))
    return topped_up(counted(taken, costs), by_first, terms)


class _Seen:
    """What the base shows of every target, found when it is first asked for."""

    def __init__(self, work: Work, options: OPTIONS) -> None:
        self._work, self._options = work, options
        self.parted = parted(work.terms)
        self._count = sampled(work.terms, options.batches)[0]

    def ratios(self, stage: str) -> dict[str, list[float]]:
        """The share of the variance that each direction explains, by target."""
        if not self.parted[stage]:
            return {}

        def compute() -> tuple[Mapping[str, Any], int]:
            found, passes = getattr(self, _FOUND[stage])
            return {name: each.ratios for name, each in found.items()}, passes

        options = (self._options.batches, self._options.inputs)
        return dict(self._work.once(stage, compute, *options))

    def starts(self, attached: Attached) -> Starts:
        """`down` of every target: its first directions."""
        found = {**self.by_inputs[0], **self.by_gradients[0]}
        return {
            name: (None, found[name].vectors[: part.rank])
            for name, part in attached.factors.items()
            if name in found
        }

    @cached_property
    def by_inputs(self) -> tuple[dict[str, Directions], int]:
        """From what layers receive."""
        targets = self.parted[_INPUTS]
        layers = tuple(dict.fromkeys(target.layer for target in targets))
        if not layers:
            return {}, 0
        observed = observe(self._work, layers, self._count, self._options.inputs)
        most = max(target.max_rank for target in targets)
        rows = {layer: observed.rows(layer) for layer in layers}
        found = {layer: of_inputs(seen, most) for layer, seen in rows.items() if seen is not None}
        by_target = {t.name: found[t.layer] for t in targets if t.layer in found}
        return by_target, observed.example_passes

    @cached_property
    def by_gradients(self) -> tuple[dict[str, Directions], int]:
        """From the gradients of whole weights: their rows are sums of inputs."""
        targets = self.parted[_GRADIENTS]
        if not targets:
            return {}, 0
        slopes = full_gradients(self._work, targets, self._count)
        found = {name: of_gradient(slope) for name, slope in slopes.gradients.items()}
        return found, slopes.example_passes


_FOUND = {_INPUTS: "by_inputs", _GRADIENTS: "by_gradients"}


def parted(terms: Terms) -> Parted:
    """Targets whose layer's input is what they multiply, and the others."""
    with seeded(0, choose("cpu")):
        model = terms.task.model()
    plain = {t.name: observable(model.get_submodule(t.layer)) for t in terms.space.targets}
    return {
        _INPUTS: tuple(t for t in terms.space.targets if plain[t.name]),
        _GRADIENTS: tuple(t for t in terms.space.targets if not plain[t.name]),
    }


def _before(options: OPTIONS, terms: Terms, targets: Parted) -> tuple[Stage, ...]:
    examples = sampled(terms, options.batches)[1]
    costs = {_INPUTS: examples, _GRADIENTS: 2 * examples}
    return tuple(Stage(name, cost) for name, cost in costs.items() if targets[name])


def _rates(options: OPTIONS, terms: Terms, before: tuple[Stage, ...]) -> tuple[float, ...]:
    spent = sum(stage.example_passes for stage in before)
    return rates_within(_NAME, terms, options.learning_rates, terms.fine_tune, spent)
