"""LoRA, written once: delta = scale · up · down."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autolora.errors import AssignedBase, UnknownName

INITS = ("kaiming", "gaussian")


class LowRank(nn.Module):
    """A delta of low rank for one matrix, or for a block of its rows.

    `up` starts at zero, so a fresh delta is zero and changes nothing until it is trained.

    Shapes: up (rows, rank); down (rank, columns).
    Source: Hu et al. 2021, equation 3; up is their B, down their A, scale their α/r.

    >>> LowRank(rows=4, columns=8, rank=2).dense().shape
    torch.Size([4, 8])
    """

    def __init__(
        self, rows: int, columns: int, rank: int, *, scale: float = 1.0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.rows = rows  # known without looking at `up`, whose shape a tracer would record
        self.up = nn.Parameter(torch.zeros(rows, rank))
        self.down = nn.Parameter(torch.empty(rank, columns))
        self.scale = float(scale)
        self.dropout = float(dropout)
        self.reset()

    @property
    def rank(self) -> int:
        """Columns of `up`."""
        return self.up.shape[1]

    @torch.no_grad()
    def reset(self, init: str = "kaiming") -> None:
        """Starts anew: up zero; down "kaiming" (uniform, a = √5) or "gaussian" (σ = 1/√columns).

        Source: Hu et al. 2021, section 4.1 (Gaussian), and their released code (Kaiming).
        """
        if init not in INITS:
            raise UnknownName("init", init, INITS)
        nn.init.zeros_(self.up)
        if init == "gaussian":
            nn.init.normal_(self.down, std=1 / math.sqrt(self.down.shape[1]))
        else:
            nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def dense(self) -> Tensor:
        """The delta as a matrix.

        Shapes: (rows, columns).
        """
        return self.scale * (self.up @ self.down)

    def extra_repr(self) -> str:
        """What `print(model)` shows of it."""
        rows, columns = self.up.shape[0], self.down.shape[1]
        return f"{rows} × {columns}, rank={self.rank}, scale={self.scale:g}"


class Delta(nn.Module):
    """All deltas of one parameter: those of its blocks, of every adapter, as one product.

    Stacked, they have the face of a single pair of factors, so that no product needs to know
    of blocks or of several adapters.
    """

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows = rows
        self.first_rows: dict[str, int] = {}

    def put(self, key: str, part: LowRank, first_row: int) -> None:
        """Adds the delta of a block that starts at a row of the parameter."""
        self.first_rows[key] = first_row
        self.add_module(key, part)

    def drop(self, key: str) -> None:
        """Takes one delta away."""
        del self.first_rows[key]
        del self._modules[key]

    def parts(self) -> dict[str, LowRank]:
        """The single deltas by key."""
        return {key: part for key, part in self._modules.items() if isinstance(part, LowRank)}

    @property
    def rank(self) -> int:
        """The ranks of all parts, added."""
        return sum(part.rank for part in self.parts().values())

    @property
    def dropout(self) -> float | None:
        """The probability that all parts drop an input with now; None where they differ."""
        rates = {part.dropout if part.training else 0.0 for part in self.parts().values()}
        return rates.pop() if len(rates) == 1 else None

    def factors(self, dtype: torch.dtype, *, dropped: bool = False) -> tuple[Tensor, Tensor]:
        """One pair whose product is the whole delta; the scale is folded into `down`.

        With `dropped`, columns of `down` are dropped as training asks: the form that dropout
        of the input takes where the input is out of reach (docs/decisions/0004).

        Shapes: up (rows, rank); down (rank, columns).
        """
        ups, downs = [], []
        for key, part in self.parts().items():
            first = self.first_rows[key]
            below = self.rows - first - part.rows
            ups.append(F.pad(part.up, (0, 0, first, below)) if first or below else part.up)
            downs.append(_scaled(part, dropped=dropped))
        up, down = (ups[0], downs[0]) if len(ups) == 1 else (torch.cat(ups, 1), torch.cat(downs))
        return up.to(dtype), down.to(dtype)


class Lora(nn.Module):
    """The child of an adapted layer that holds a `Delta` for each adapted parameter."""

    def deltas(self) -> dict[str, Delta]:
        """The deltas by parameter name."""
        return {name: d for name, d in self._modules.items() if isinstance(d, Delta)}

    def _load_from_state_dict(self, *args: Any) -> None:
        """Called by torch just after the layer's own parameters were loaded."""
        if args[2].get("assign_to_params_buffers"):
            raise AssignedBase
        super()._load_from_state_dict(*args)


def _scaled(part: LowRank, *, dropped: bool) -> Tensor:
    down = part.down if part.scale == 1 else part.down * part.scale
    if dropped and part.training and part.dropout:
        down = down * F.dropout(torch.ones_like(down[:1]), part.dropout)
    return down
