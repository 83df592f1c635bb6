"""Local search: ranks move from target to target while the truncated loss falls."""

from collections.abc import Sequence
from dataclasses import dataclass

from autolora.nested.candidates import Room
from autolora.nested.scores import Scores, around
from autolora.nested.truncated import Ranks, Sample, Truncated, size

_TRIED = 6  # moves that are measured for every look at the slopes


@dataclass(frozen=True)
class Move:
    """Ranks taken from one group and given to another, and the fall of the loss to expect."""

    taken: tuple[str, ...] | None
    given: tuple[str, ...]
    ranks: Ranks
    expected: float


def climb(
    truncated: Truncated, start: Ranks, room: Room, sample: Sample, allowance: int
) -> tuple[Ranks, float, int]:
    """The best allocation that moves of ranks lead to, its loss, and how many were measured.

    The slopes of the loss at the current allocation say which moves look best; those are
    measured on the same examples, and the best one is made, or all together that improve. It ends
    where none improves, or with the allowance (example-passes).

    Args:
        truncated: Evaluates an allocation.
        start: Where the search begins.
        room: What an allocation may be.
        sample: Batches that every evaluation uses.
        allowance: Example-passes.
    """
    ends = truncated.example_passes + allowance
    here, best, count = dict(start), truncated.losses(start, sample).mean, 1
    # A look at the slopes costs 2, each move 1, and all that improve once more together.
    while ends - truncated.example_passes >= 3 * size(sample) + truncated.most(_TRIED, sample):
        moves = proposed(around(truncated, sample, here), here, room)
        losses = truncated.each([move.ranks for move in moves], sample)
        tried = [(each.mean, move) for each, move in zip(losses, moves, strict=True)]
        count += len(tried)
        better = sorted((x for x in tried if x[0] < best), key=lambda x: x[0])
        if not better:
            break
        together = _together(here, [move for _, move in better], room)
        options = [(loss, dict(move.ranks)) for loss, move in better[:1]]
        if len(better) > 1:
            options.append((truncated.losses(together, sample).mean, together))
            count += 1
        best, here = min(options, key=lambda x: x[0])
    return here, best, count


def proposed(slopes: Scores, here: Ranks, room: Room) -> list[Move]:
    """The moves that look best, no two of them from the same group or to the same one."""
    every = [
        move for taken in _removals(slopes, here, room) for move in _moves(*taken, slopes, room)
    ]
    every.sort(key=lambda move: -move.expected)
    chosen: list[Move] = []
    for move in every:
        used = {(m.taken, m.given) for m in chosen}
        if not any(move.taken == t or move.given == g for t, g in used):
            chosen.append(move)
        if len(chosen) == _TRIED:
            break
    return chosen


Group = tuple[str, ...]


def _removals(
    slopes: Scores, here: Ranks, room: Room
) -> list[tuple[Group | None, dict[str, int], float]]:
    """What may be taken away first: nothing, a step of a group, half of it, or all of it."""
    found: list[tuple[Group | None, dict[str, int], float]] = [(None, dict(here), 0.0)]
    for group in room.groups:
        rank = here.get(group[0], 0)
        steps = {room.multiple, rank // 2 // room.multiple * room.multiple, rank}
        for step in sorted(step for step in steps if 0 < step <= rank):
            lost = sum(float(slopes[name][rank - step : rank].sum()) for name in group)
            found.append((group, {**here, **dict.fromkeys(group, rank - step)}, lost))
    return found


def _moves(
    taken: Group | None, ranks: dict[str, int], lost: float, slopes: Scores, room: Room
) -> list[Move]:
    """One group more gets as many ranks as fit, or a single step."""
    left = room.budget - room.parameters(ranks)
    found = []
    for group in room.groups:
        rank = ranks.get(group[0], 0)
        most = min(room.most[name] for name in group) - rank
        fits = min(left // room.price(group), most) // room.multiple * room.multiple
        if group == taken or fits < 1:
            continue
        for step in sorted({room.multiple, fits}):
            won = sum(float(slopes[name][rank : rank + step].sum()) for name in group)
            more = {**ranks, **dict.fromkeys(group, rank + step)}
            found.append(Move(taken, group, more, won - lost))
    return found


def _together(here: Ranks, moves: Sequence[Move], room: Room) -> dict[str, int]:
    """Several moves at once, in order, as long as the budget is kept."""
    ranks = dict(here)
    for move in moves:
        names = (*(move.taken or ()), *move.given)
        changed = {**ranks, **{name: move.ranks.get(name, 0) for name in names}}
        if room.parameters(changed) <= room.budget:
            ranks = changed
    return ranks
