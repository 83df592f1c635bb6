"""Pareto: one run at a high rank, then a warm last run for each of several sizes of the adapter.

Unit of compute: FT, one fine-tune of the study's length. Of 3 FT about 0.1 finds a learning rate,
0.9 train the high rank, 0.2 choose allocations, and the rest is shared out among the sizes. The
study's own budget is always one of them; its adapter is what is handed back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field

from autolora.errors import SizeOutside
from autolora.nested.candidates import Room
from autolora.nested.choose import Choosing, choose, sample_size
from autolora.nested.finish import Finished, finish
from autolora.nested.high import Nesting, Trained
from autolora.nested.planned import Ends, Planned, concluded, planned, remaining, trained
from autolora.nested.room import distinct, filled, followers, room_of, smallest
from autolora.nested.truncated import Truncated
from autolora.space.read import Strict
from autolora.spending import Found, Stage, Work
from autolora.spending.work import Terms

_NAME = "pareto"
_LOOKS = 6  # at least, at each size: uniform and some others in the race


class OPTIONS(Strict):
    """Which sizes there are, and how it spends its allowance; shares are of the whole.

    `fractions` are sizes as shares of the study's budget of parameters; `parameters` names sizes
    in their place. `rank` is the high rank: without one, four times the uniform rank of the budget
    and at least 8, within what the space offers. `nesting` says how lower ranks are trained with
    it. `rates` learning rates take the first `probe` of its steps; the best goes on at `caution`
    times its rate. At each size the best allocation and uniform train on for a `stretch` of its
    last run, at `final_rate` times the rate of the high run; the better one goes to the end.
    `multiple` makes ranks multiples of it; `tied` gives the groups of the space one rank each.
    """

    fractions: tuple[float, ...] = Field(default=(0.25, 0.5, 1.0), min_length=1)
    parameters: tuple[int, ...] | None = Field(default=None, min_length=1)
    rank: int | None = Field(default=None, ge=1)
    nesting: Nesting = "weighted"
    rates: int = Field(default=3, ge=1, le=10)
    probe: float = Field(default=0.15, gt=0, le=0.5)
    caution: float = Field(default=0.9, gt=0, le=1)
    high: float = Field(default=0.3, gt=0, lt=1)
    choosing: float = Field(default=0.08, gt=0, lt=1)
    trusts: tuple[float, ...] = Field(default=(0.5, 0.75, 1.0), min_length=1)
    stretch: float = Field(default=0.15, gt=0, le=0.5)
    final_rate: float = Field(default=0.5, gt=0, le=2)
    multiple: int = Field(default=1, ge=1)
    tied: bool = False


@dataclass(frozen=True)
class _Point:
    """One size of the front: what was chosen for it, and what came of that."""

    room: Room
    chosen: dict[str, Any]
    finished: Finished
    example_passes: int


def account(options: OPTIONS, terms: Terms) -> tuple[Stage, ...]:
    """What each stage will cost at most; what choosing leaves over goes to the last runs.

    Raises:
        AllowanceTooSmall: if a run would be too short to tell anything.
        SizeOutside: if a size holds no rank, or is above the study's budget.
    """
    plan, found = _plan(options, terms), sizes(options, terms)
    return (*plan.before, Stage("stretches and final run", len(found) * plan.each))


def search(options: OPTIONS, work: Work) -> Found:
    """Spends the allowance on a whole front; hands back its adapter at the study's budget.

    Raises:
        AllowanceTooSmall: if a run would be too short to tell anything.
        SizeOutside: if a size holds no rank, or is above the study's budget.
        NoRateConverged: if every learning rate diverges.
    """
    plan, unit = _plan(options, work.terms), work.terms.fine_tune
    whole = _room(options, work.terms)
    high = trained(work, plan, whole)
    rooms = [replace(whole, budget=size) for size in sizes(options, work.terms)]
    before = work.spent
    points = [_point(options, work, plan, high, room) for room in rooms]
    front = [_told(point, unit) for point in points]
    last = points[-1]
    shared = {"shared_ft": before / unit, "front": front, "dominated": dominated(front)}
    return concluded(work, high, last.finished, last.chosen, **shared)


def sizes(options: OPTIONS, terms: Terms) -> tuple[int, ...]:
    """The budgets of parameters, from the smallest; the study's own is the last.

    Raises:
        SizeOutside: if a size holds no rank, or is above the study's budget.
    """
    shares = [int(fraction * terms.parameters) for fraction in options.fractions]
    asked = options.parameters or shares
    least = smallest(_room(options, terms))
    for size in asked:
        if not least <= size <= terms.parameters:
            raise SizeOutside(size, least, terms.parameters)
    return tuple(sorted({*asked, terms.parameters}))


def dominated(front: Sequence[dict[str, Any]]) -> list[int]:
    """The budgets at which another adapter is no larger and no worse, and better in one of both.

    >>> dominated([{"budget": 10, "parameters": 9, "loss": 1.0},
    ...            {"budget": 20, "parameters": 19, "loss": 1.5}])
    [20]
    """

    def beats(one: dict[str, Any], other: dict[str, Any]) -> bool:
        first, second = ((each["parameters"], each["loss"]) for each in (one, other))
        return first != second and first[0] <= second[0] and first[1] <= second[1]

    return [each["budget"] for each in front if any(beats(other, each) for other in front)]


def _room(options: OPTIONS, terms: Terms) -> Room:
    return room_of(terms, options.rank, multiple=options.multiple, tied=options.tied)


def _plan(options: OPTIONS, terms: Terms) -> Planned:
    runs = len(sizes(options, terms))
    return planned(_NAME, options, terms, Ends(runs=runs, candidates=2, looks=_LOOKS * runs))


def _point(options: OPTIONS, work: Work, plan: Planned, high: Trained, room: Room) -> _Point:
    before = work.spent
    chosen = _chosen(options, work, plan, high, room)
    ranked = {each["name"]: filled(room, each["ranks"]) for each in chosen["candidates"]}
    candidates = followers(distinct(ranked), 1, high.learning_rate * options.final_rate)
    looking = _looking(options, work.terms, plan)
    how = replace(plan.final, skip=sample_size(looking))
    finished = finish(work, high.adapter, candidates, how, remaining(work, plan, looking))
    return _Point(room, chosen, finished, work.spent - before)


def _chosen(
    options: OPTIONS, work: Work, plan: Planned, high: Trained, room: Room
) -> dict[str, Any]:
    terms = work.terms
    how = Choosing(gate=False, trusts=options.trusts)
    allowance = _looking(options, terms, plan)

    def compute() -> tuple[dict[str, Any], int]:
        truncated = Truncated(high.adapter, terms.task, terms.settings)
        found = choose(truncated, room, how, allowance=allowance, seed=work.seed).about()
        work.journal.evaluated(high.adapter.digest, truncated.evaluations)
        return found, truncated.example_passes

    about = (options.model_dump(mode="json"), room.budget, allowance, high.adapter.digest)
    return dict(work.once("choosing allocations", compute, *about))


def _looking(options: OPTIONS, terms: Terms, plan: Planned) -> int:
    """What choosing the allocation of one size may cost."""
    return plan.choosing // len(sizes(options, terms))


def _told(point: _Point, unit: int) -> dict[str, Any]:
    adapter = point.finished.fit.adapter
    return {
        "budget": point.room.budget,
        "parameters": adapter.parameters,
        "loss": point.finished.fit.loss,
        "ranks": dict(adapter.allocation),
        "chosen": point.finished.candidate.name,
        "learning_rate": point.finished.candidate.learning_rate,
        "ft": point.example_passes / unit,
        "adapter": adapter.digest,
    }
