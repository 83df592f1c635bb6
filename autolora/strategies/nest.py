"""NEST: one run at a high rank, many allocations cut from it, the best trained on.

Unit of compute: FT, one fine-tune of the study's length. Of an allowance of 2 FT about 0.1 finds a
learning rate, 0.9 train a high rank, 0.25 score and compare allocations without training, and the
rest trains the best of a few from the truncated weights. Uniform ranks are always among them.
"""

from typing import Any

from pydantic import Field

from autolora.errors import AllowanceTooSmall
from autolora.lora.allocation import Allocation
from autolora.nested.candidates import UNIFORM, Room, families
from autolora.nested.choose import Choosing, choose, sample_size
from autolora.nested.finish import Candidate, Finished, Finishing, finish
from autolora.nested.high import High, Nesting, Trained, high_run
from autolora.nested.truncated import Truncated
from autolora.space.read import Strict
from autolora.spending import Found, Stage, Work
from autolora.spending.work import Terms

_LEAST_STEPS = 8  # of a run, below which nothing can be told


class OPTIONS(Strict):
    """How NEST spends its allowance; shares are of the whole.

    `rank` is the high rank: without one, four times the uniform rank of the budget and at least 8,
    within what the space offers. `nesting` says how lower ranks are trained with it. `rates`
    learning rates take the first `probe` of its steps; the best goes on at `caution` times its
    rate. `gate`, `race`, `search`, `warm` and `trusts` can be turned off or narrowed, to see what
    they are worth. `candidates` allocations beside uniform train on for a `stretch` of the last
    run, at `final_rate` times the rate of the high run. `multiple` makes ranks multiples of it;
    `tied` gives the groups of the space one rank each.
    """

    rank: int | None = Field(default=None, ge=1)
    nesting: Nesting = "weighted"
    rates: int = Field(default=3, ge=1, le=10)
    probe: float = Field(default=0.15, gt=0, le=0.5)
    caution: float = Field(default=0.9, gt=0, le=1)
    high: float = Field(default=0.45, gt=0, lt=1)
    choosing: float = Field(default=0.12, gt=0, lt=1)
    gate: bool = True
    race: bool = True
    search: bool = True
    warm: bool = True
    trusts: tuple[float, ...] = (0.5, 0.75, 1.0)
    candidates: int = Field(default=2, ge=0, le=10)
    stretch: float = Field(default=0.2, gt=0, lt=1)
    final_rate: float = Field(default=0.5, gt=0, le=2)
    multiple: int = Field(default=1, ge=1)
    tied: bool = False


def account(options: OPTIONS, terms: Terms) -> tuple[Stage, ...]:
    """What each stage will cost at most.

    Raises:
        AllowanceTooSmall: if a run would be too short to tell anything.
    """
    high = _high(options, terms)
    probes = terms.passes(high.probe_steps, 0) * (high.rates - 1) + high.rates * 160
    run = terms.passes(high.steps, min(2, high.steps))
    choosing = int(options.choosing * terms.allowance)
    rest = terms.allowance - run - choosing - (probes if high.rates > 1 else 0)
    if high.steps < _LEAST_STEPS or rest < terms.passes(_LEAST_STEPS, 1):
        least = terms.passes(3 * _LEAST_STEPS, 5) / terms.fine_tune
        raise AllowanceTooSmall("nest", terms.allowance / terms.fine_tune, least)
    return (
        Stage("learning-rate probe", probes if high.rates > 1 else 0),
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
    about = {
        "probed": trained.probed,
        "high_rate": trained.learning_rate,
        "high_loss": trained.fit.loss,
        "peak_parameters": trained.adapter.parameters,
        "chosen": finished.candidate.name,
        "stretches": dict(finished.judged),
        **chosen,
    }
    rate = finished.candidate.learning_rate
    return Found.of(finished.fit, rate, tuple(work.ledger), **about)


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
    names = [name for name in ranked if name != UNIFORM][: options.candidates]
    rate = trained.learning_rate * options.final_rate
    candidates = [Candidate(name, ranked[name], rate) for name in (*names, UNIFORM)]
    skip = sample_size(int(options.choosing * work.terms.allowance))
    how = Finishing(options.stretch, max(128, skip), skip, options.warm)
    return finish(work, trained.adapter, candidates, how, work.left)


def _high(options: OPTIONS, terms: Terms) -> High:
    """As long a run as its share of the allowance holds, and no longer than the study's own."""
    steps = terms.settings.steps
    while steps > 1 and terms.passes(steps, 2) > options.high * terms.allowance:
        steps -= 1
    rank = options.rank or max(8, 4 * terms.uniform_rank)
    return High(rank, steps, options.nesting, options.rates, options.probe, options.caution)


def _room(options: OPTIONS, terms: Terms) -> Room:
    offered = terms.space.most_ranks
    rank = options.rank or max(8, 4 * terms.uniform_rank)
    most = {name: min(rank, highest) for name, highest in offered.items()}
    tied = tuple(terms.space.groups.values()) if options.tied else ()
    known = families(terms.space.groups)
    return Room(terms.space.targets, most, terms.parameters, options.multiple, tied, known)
