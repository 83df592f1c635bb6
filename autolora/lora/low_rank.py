"""LoRA, written once: delta = scale · up · down."""

import math

import torch
from torch import Tensor, nn

from autolora.errors import UnknownName

INITS = ("kaiming", "gaussian")


class LowRank(nn.Module):
    """A delta of low rank for one matrix, or for a block of its rows.

    `up` starts at zero, so a fresh delta is zero and changes nothing until it is trained.
    `share` is what the set of active adapters multiplies it by for now; 0 leaves it out.

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
        self.share = 1.0
        self.dropout = float(dropout)
        self.reset()

    @property
    def rank(self) -> int:
        """Columns of `up`."""
        return self.up.shape[1]

    @property
    def strength(self) -> float:
        """What multiplies the product now: scale times share."""
        return self.scale * self.share

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
        return self.strength * (self.up @ self.down)

    def extra_repr(self) -> str:
        """What `print(model)` shows of it."""
        rows, columns = self.up.shape[0], self.down.shape[1]
        return f"{rows} × {columns}, rank={self.rank}, scale={self.scale:g}"
