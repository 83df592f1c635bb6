"""Filling a budget of parameters with whole ranks, so that no arm is compared with less."""

from collections.abc import Iterable, Mapping, Sequence

from autolora.spending.work import Terms

Rank = tuple[str, int]  # a target, and which of its ranks
Ranks = Mapping[str, int]


def average_rank(terms: Terms) -> float:
    """The rank, with a fraction, whose uniform allocation would take the whole budget."""
    return terms.parameters / sum(terms.costs.values())


def most_ranks(terms: Terms) -> dict[str, int]:
    """The highest rank that the space offers each target: what may be handed over."""
    return terms.space.most_ranks


def parameters(ranks: Ranks, costs: Mapping[str, int]) -> int:
    """How many parameters ranks take."""
    return sum(rank * costs[name] for name, rank in ranks.items())


def fitting(offers: Iterable[Rank], costs: Mapping[str, int], budget: int) -> list[Rank]:
    """The offers that a budget holds, each in its turn; one that does not fit is passed over.

    >>> fitting([("wide", 0), ("thin", 0), ("thin", 1)], {"wide": 9, "thin": 4}, 14)
    [('wide', 0), ('thin', 0)]
    """
    taken, left = [], budget
    for offer in offers:
        if costs[offer[0]] <= left:
            taken.append(offer)
            left -= costs[offer[0]]
    return taken


def counted(taken: Iterable[Rank], names: Iterable[str]) -> dict[str, int]:
    """How many ranks of each target were taken."""
    ranks = dict.fromkeys(names, 0)
    for name, _ in taken:
        ranks[name] += 1
    return ranks


def topped_up(
    ranks: Ranks, order: Sequence[str], terms: Terms, most: Ranks | None = None
) -> dict[str, int]:
    """Ranks with further ones, one for each target in turn, until not one more fits.

    Args:
        ranks: They keep the budget.
        order: Targets, those first that shall grow first.
        terms: The budget and the costs.
        most: The highest rank of each; what the space offers without.
    """
    most, costs = most or most_ranks(terms), terms.costs
    found = {name: ranks.get(name, 0) for name in costs}
    left = terms.parameters - parameters(found, costs)
    grown = True
    while grown:
        grown = False
        for name in order:
            if found[name] < most[name] and costs[name] <= left:
                found[name] += 1
                left -= costs[name]
                grown = True
    return found
