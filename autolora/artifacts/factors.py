"""Pairs of factors, rearranged without a change of their product.

Other formats keep one pair for a whole parameter where we keep one for each block of its rows.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from autolora.lora.targets import Target

Pair = tuple[Tensor, Tensor]


def padded(pair: Pair, rank: int) -> Pair:
    """The same product at a higher rank: what is added is zero.

    Shapes: up (…, rows, rank); down (…, rank, columns).
    """
    up, down = pair
    more = rank - up.shape[-1]
    return (
        torch.nn.functional.pad(up, (0, more)),
        torch.nn.functional.pad(down, (0, 0, 0, more)),
    )


def joined(parts: Sequence[tuple[Target, Pair]], copies: int, rows: int) -> Pair:
    """One pair for each copy of a parameter from those of its blocks, side by side.

    Shapes: up (copies, rows, rank); down (copies, rank, columns).
    """
    stacked = [
        _side_by_side([p for p in parts if p[0].first_row // rows == copy], rows)
        for copy in range(copies)
    ]
    rank = max(pair[0].shape[1] for pair in stacked if pair)
    like = parts[0][1]
    empty = like[0].new_zeros(rows, 0), like[1].new_zeros(0, like[1].shape[1])
    wide = [padded(pair or empty, rank) for pair in stacked]
    return torch.stack([up for up, _ in wide]), torch.stack([down for _, down in wide])


def _side_by_side(parts: Sequence[tuple[Target, Pair]], rows: int) -> Pair | None:
    if not parts:
        return None
    ups = []
    for target, (up, _) in parts:
        whole = up.new_zeros(rows, up.shape[1])
        first = target.first_row % rows
        whole[first : first + target.rows] = up
        ups.append(whole)
    return torch.cat(ups, 1), torch.cat([down for _, (_, down) in parts])


def parted(pair: Pair, targets: Iterable[Target]) -> dict[Target, Pair]:
    """The pairs of single blocks from one for each copy of a parameter; those that are zero fall.

    Shapes: up (copies, rows, rank); down (copies, rank, columns).
    """
    up, down = pair
    rows, found = up.shape[1], {}
    for target in targets:
        copy, first = divmod(target.first_row, rows)
        # The down of another block stands beside that of this one, under an up of zeros.
        part = up[copy, first : first + target.rows], down[copy]
        used = part[0].any(0) if target.block else part[0].any(0) | part[1].any(1)
        if used.any():
            found[target] = bounded((part[0][:, used], part[1][used]))
    return found


def bounded(pair: Pair) -> Pair:
    """The same product at no higher rank than its matrix can have.

    Shapes: up (rows, rank); down (rank, columns).
    """
    up, down = pair
    rows, columns = len(up), down.shape[1]
    if up.shape[1] <= min(rows, columns):
        return up.contiguous(), down.contiguous()
    product = (up.double() @ down.double()).to(up)
    if rows <= columns:
        return torch.eye(rows, dtype=up.dtype), product
    return product, torch.eye(columns, dtype=up.dtype)
