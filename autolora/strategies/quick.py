"""Quick: a short run at a high rank, cut once by its scores, and trained on to the end.

Unit of compute: FT, one fine-tune of the study's length. Of 1.1 FT about 0.4 train the high rank,
0.05 score its ranks, and the rest trains on from the truncated weights. It is AdaLoRA with a budget
in parameters: what is kept is decided once, by the whole fall of the loss.
"""

import math
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from autolora.nested.candidates import UNIFORM, Room
from autolora.nested.finish import Finished, finish
from autolora.nested.high import Nesting, Trained
from autolora.nested.planned import Ends, Planned, concluded, planned, remaining, trained
from autolora.nested.room import distinct, filled, followers, room_of
from autolora.nested.scores import along_gates, shrunk
from autolora.nested.truncated import Losses, Ranks, Truncated, sample
from autolora.space.read import Strict
from autolora.spending import Found, Stage, Work
from autolora.spending.work import Terms

_NAME = "quick"
_POINTS = (0.25, 0.75)  # how far the gates are open: the middles of two equal parts
_ENDS = Ends(runs=1, candidates=2, looks=2 * len(_POINTS) + 2)


class OPTIONS(Strict):
    """How it spends its allowance; shares are of the whole.

    `rank` is the high rank: without one, four times the uniform rank of the budget and at least 8,
    within what the space offers. `nesting` says how lower ranks are trained with it. `rates`
    learning rates take the first `probe` of its steps, where those are enough to compare them; the
    best goes on at `caution` times its rate. With one rate, that is the middle of the space's.
    `trust` says how far the scores are believed, 0 (uniform) to 1. What they choose and uniform
    train on for a `stretch` of the last run, at `final_rate` times the rate of the high run; the
    better one goes to the end. `multiple` makes ranks multiples of it; `tied` gives the groups of
    the space one rank each.
    """

    rank: int | None = Field(default=None, ge=1)
    nesting: Nesting = "weighted"
    rates: int = Field(default=2, ge=1, le=10)
    probe: float = Field(default=0.2, gt=0, le=0.5)
    caution: float = Field(default=0.9, gt=0, le=1)
    high: float = Field(default=0.37, gt=0, lt=1)
    choosing: float = Field(default=0.05, gt=0, lt=1)
    trust: float = Field(default=0.5, ge=0, le=1)
    stretch: float = Field(default=0.1, gt=0, le=0.5)
    final_rate: float = Field(default=0.5, gt=0, le=2)
    multiple: int = Field(default=1, ge=1)
    tied: bool = False


def account(options: OPTIONS, terms: Terms) -> tuple[Stage, ...]:
    """What each stage will cost at most; what choosing leaves over goes to the last.

    Raises:
        AllowanceTooSmall: if a run would be too short to tell anything.
    """
    plan = planned(_NAME, options, terms, _ENDS)
    return (*plan.before, Stage("stretches and final run", plan.each))


def search(options: OPTIONS, work: Work) -> Found:
    """Spends the allowance: a short high run, one cut, the rest of the training.

    Raises:
        AllowanceTooSmall: if a run would be too short to tell anything.
        BudgetTooSmall: if the budget of parameters does not hold a single rank.
        NoRateConverged: if every learning rate diverges.
    """
    plan = planned(_NAME, options, work.terms, _ENDS)
    room = room_of(work.terms, options.rank, multiple=options.multiple, tied=options.tied)
    high = trained(work, plan, room)
    chosen = _chosen(options, work, plan, high, room)
    finished = _finished(options, work, plan, high, chosen["candidates"])
    return concluded(work, high, finished, chosen)


def _chosen(
    options: OPTIONS, work: Work, plan: Planned, high: Trained, room: Room
) -> dict[str, Any]:
    terms = work.terms

    def compute() -> tuple[dict[str, Any], int]:
        truncated = Truncated(high.adapter, terms.task, terms.settings)
        shown = sample(terms.task, plan.sample, seed=work.seed)
        scores = along_gates(truncated, shown, _POINTS)
        ranks = {
            f"gates, trust {options.trust:g}": room.best(shrunk(scores, room.costs, options.trust)),
            UNIFORM: room.even(room.most),
        }
        offered = {name: filled(room, each) for name, each in ranks.items()}
        candidates = [
            _told(name, each, truncated.losses(each, shown)) for name, each in offered.items()
        ]
        work.journal.evaluated(high.adapter.digest, truncated.evaluations)
        told = {name: score.tolist() for name, score in scores.items()}
        about = {"scored": "gates", "scores": told, "evaluated": len(candidates)}
        return {"candidates": candidates, **about}, truncated.example_passes

    about = (options.model_dump(mode="json"), terms.parameters, plan.sample, high.adapter.digest)
    return dict(work.once("choosing allocations", compute, *about))


def _told(name: str, ranks: Ranks, losses: Losses) -> dict[str, Any]:
    loss = losses.mean if math.isfinite(losses.mean) else None  # JSON has no other numbers
    return {"name": name, "ranks": dict(ranks), "loss": loss, "examples": len(losses.losses)}


def _finished(
    options: OPTIONS, work: Work, plan: Planned, high: Trained, chosen: Sequence[dict[str, Any]]
) -> Finished:
    ranked = distinct({each["name"]: each["ranks"] for each in chosen})
    candidates = followers(ranked, 1, high.learning_rate * options.final_rate)
    allowance = remaining(work, plan, plan.choosing)
    return finish(work, high.adapter, candidates, plan.final, allowance)
