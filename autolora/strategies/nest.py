"""NEST: one run at a high rank, many allocations cut from it, the best trained on.

Unit of compute: FT, one fine-tune of the study's length. Of an allowance of 2 FT about 0.1 finds a
learning rate, 0.9 train a high rank, 0.25 score and compare allocations without training, and the
rest trains the best of a few from the truncated weights. Uniform ranks are always among them.
"""

from typing import Any

from pydantic import Field

from autolora.errors import AllowanceTooSmall
from autolora.lora.allocation import Allocation
from autolora.nested.candidates import Room
from autolora.nested.choose import Choosing, choose, sample_size
from autolora.nested.finish import Finished, Finishing, cost, finish
from autolora.nested.high import PROBED, High, Nesting, Scaling, Trained, high_run
from autolora.nested.planned import LEAST_PROBE, LEAST_STEPS, concluded
from autolora.nested.room import followers, high_rank, longest, room_of
from autolora.nested.truncated import SAMPLED, Truncated
from autolora.space.read import Strict
from autolora.spending import Found, Stage, Work
from autolora.spending.work import Terms


class OPTIONS(Strict):
    """How NEST spends its allowance; shares are of the whole.

    `rank` is the high rank: without one, four times the uniform rank of the budget and at least 8,
    within what the space offers. `nesting` says how lower ranks are trained with it; `high_scale`
    how the scale falls from the budget's uniform rank to it, so that the same rates suit both.
    `rates` learning rates take the first `probe` of its steps; the best goes on at `caution` times
    its rate. `gate`, `race`, `search`, `warm` and `trusts` can be turned off or narrowed, to see
    what they are worth. `candidates` allocations beside uniform train on for a `stretch` of the
    last run, each at the `final_rates`, as shares of the high run's. `multiple` makes ranks
    multiples of it; `tied` gives the groups of the space one rank each.
    """

    rank: int | None = Field(default=None, ge=1)
    nesting: Nesting = "plain"
    rates: int = Field(default=3, ge=1, le=10)
    probe: float = Field(default=0.15, gt=0, le=0.5)
    caution: float = Field(default=1.0, gt=0, le=1)
    high_scale: Scaling = "root"
    high: float = Field(default=0.45, gt=0, lt=1)
    choosing: float = Field(default=0.12, gt=0, lt=1)
    gate: bool = True
    race: bool = True
    search: bool = True
    warm: bool = True
    trusts: tuple[float, ...] = (0.5, 0.75, 1.0)
    candidates: int = Field(default=1, ge=0, le=10)
    stretch: float = Field(default=0.15, gt=0, lt=1)
    final_rates: tuple[float, ...] = Field(default=(1.0,), min_length=1, max_length=5)
    multiple: int = Field(default=1, ge=1)
    tied: bool = False


def account(options: OPTIONS, terms: Terms) -> tuple[Stage, ...]:
    """What each stage will cost at most.

    Raises:
        AllowanceTooSmall: if a run would be too short to tell anything.
    """
    high = _high(options, terms)
    judged = min(PROBED + SAMPLED, terms.task.examples("valid"))
    probes = terms.passes(high.probe_steps, 0) * (high.rates - 1) + high.rates * judged
    probes = probes if high.rates > 1 else 0
    run = terms.passes(high.steps, min(2, high.steps))
    choosing = int(options.choosing * terms.allowance)
    rest = terms.allowance - run - choosing - probes
    count = (options.candidates + 1) * len(options.final_rates)
    steps = min(LEAST_STEPS, terms.settings.steps)
    # A stretch is less than its run, so that takes 2 steps whatever the study's length.
    last = cost(terms, max(2, steps), count, _finishing(options, terms))
    if high.steps < steps or rest < last:
        short = terms.passes(steps, 2)
        need = max((probes + run + last) / (1 - options.choosing), short / options.high)
        least = need / terms.fine_tune
        raise AllowanceTooSmall("nest", terms.allowance / terms.fine_tune, least)
    return (
        Stage("learning-rate probe", probes),
        Stage(f"high rank, {options.nesting}", run),
        Stage("choosing allocations", choosing),
        Stage("stretches and final run", rest),
    )


def search(options: OPTIONS, work: Work) -> Found:
    """Spends the allowance: probe, high rank, choice, stretches, final run.

    Raises:
        AllowanceTooSmall: if a run would be too short to tell anything.
        NoRateConverged: if every learning rate diverges.
    """
    account(options, work.terms)
    room = _room(options, work.terms)
    trained = high_run(work, _high(options, work.terms), Allocation(dict(room.most)))
    chosen = dict(_chosen(options, work, trained, room))
    finished = _finished(options, work, trained, chosen)
    return concluded(work, trained, finished, chosen)


def _chosen(options: OPTIONS, work: Work, trained: Trained, room: Room) -> dict[str, Any]:
    terms = work.terms
    how = Choosing(options.gate, options.race, options.search, options.trusts)
    allowance = int(options.choosing * terms.allowance)

    def compute() -> tuple[dict[str, Any], int]:
        truncated = Truncated(trained.adapter, terms.task, terms.settings)
        found = choose(truncated, room, how, allowance=allowance, seed=work.seed)
        work.journal.evaluated(trained.adapter.digest, truncated.evaluations)
        return found.about(), truncated.example_passes

    about = (options.model_dump(mode="json"), terms.parameters, trained.adapter.digest)
    return dict(work.once("choosing allocations", compute, *about))


def _finished(options: OPTIONS, work: Work, trained: Trained, chosen: dict[str, Any]) -> Finished:
    ranked = {each["name"]: each["ranks"] for each in chosen["candidates"]}
    at_one = followers(ranked, options.candidates, trained.learning_rate)
    candidates = [each.at(share) for each in at_one for share in options.final_rates]
    how = _finishing(options, work.terms)
    return finish(work, trained.adapter, candidates, how, work.left)


def _finishing(options: OPTIONS, terms: Terms) -> Finishing:
    skip = sample_size(int(options.choosing * terms.allowance))
    return Finishing(options.stretch, max(PROBED, skip), skip, options.warm)


def _high(options: OPTIONS, terms: Terms) -> High:
    """As long a run as its share of the allowance holds, and no longer than the study's own.

    Where that is too short to compare learning rates on a part of it, it takes a single one.
    """
    steps = longest(terms, int(options.high * terms.allowance), 2)
    rank = high_rank(terms, options.rank)
    return High(
        rank,
        steps,
        options.nesting,
        options.rates if round(options.probe * steps) >= LEAST_PROBE else 1,
        options.probe,
        options.caution,
        options.high_scale,
    )


def _room(options: OPTIONS, terms: Terms) -> Room:
    return room_of(terms, options.rank, multiple=options.multiple, tied=options.tied)
