"""What strategies of one run at a high rank share: how high it is, and what is cut from it."""

from collections.abc import Mapping

from autolora.nested.candidates import UNIFORM, Room, families
from autolora.nested.finish import Candidate
from autolora.nested.truncated import Ranks
from autolora.spending.work import Terms


def high_rank(terms: Terms, rank: int | None) -> int:
    """The rank that is asked for, or four times the uniform rank of the budget, at least 8."""
    return rank or max(8, 4 * terms.uniform_rank)


def room_of(terms: Terms, rank: int | None, *, multiple: int = 1, tied: bool = False) -> Room:
    """What an allocation of a study may be, cut from a high rank."""
    highest = high_rank(terms, rank)
    most = {name: min(highest, offered) for name, offered in terms.space.most_ranks.items()}
    ties = tuple(terms.space.groups.values()) if tied else ()
    known = families(terms.space.groups)
    return Room(terms.space.targets, most, terms.parameters, multiple, ties, known)


def smallest(room: Room) -> int:
    """The parameters of the smallest allocation that has a rank at all."""
    return min(room.multiple * room.price(group) for group in room.groups)


def longest(terms: Terms, passes: int, evaluations: int) -> int:
    """The steps that so many example-passes hold: at least 1, no more than the study's own."""
    steps = terms.settings.steps
    while steps > 1 and terms.passes(steps, evaluations) > passes:
        steps -= 1
    return steps


def followers(ranked: Mapping[str, Ranks], count: int, rate: float) -> list[Candidate]:
    """The allocations that train on: the first ones beside uniform, then uniform itself."""
    names = [name for name in ranked if name != UNIFORM][:count]
    return [Candidate(name, ranked[name], rate) for name in (*names, UNIFORM)]


def distinct(ranked: Mapping[str, Ranks]) -> dict[str, Ranks]:
    """The first of equal allocations, and uniform before all others."""
    found: dict[str, Ranks] = {}
    for name in sorted(ranked, key=lambda name: name != UNIFORM):
        if dict(ranked[name]) not in [dict(each) for each in found.values()]:
            found[name] = ranked[name]
    return {name: found[name] for name in ranked if name in found}


def filled(room: Room, ranks: Ranks) -> dict[str, int]:
    """Ranks with further ones, a step at a time, until not one more fits the budget.

    Groups that have the most grow first, so that what is left out stays out while others can grow.
    """
    found = {target.name: ranks.get(target.name, 0) for target in room.targets}
    left = room.budget - room.parameters(found)
    order = sorted(room.groups, key=lambda group: -max(found[name] for name in group))
    grown = True
    while grown:
        grown = False
        for group in order:
            price = room.multiple * room.price(group)
            fits = all(found[name] + room.multiple <= room.most[name] for name in group)
            if fits and price <= left:
                found |= {name: found[name] + room.multiple for name in group}
                left -= price
                grown = True
    return found
