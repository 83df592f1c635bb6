"""A look-up in the base plus a look-up in `up`, times `down`."""

from typing import Any

from torch.nn import functional as F

from autolora.lora.weight import AdaptedWeight, product


@product(F.embedding)
def embedding(  # noqa: PLR0913 — the signature is torch's
    input: Any,  # noqa: A002
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """Looks up base and delta apart; `up` is indexed by token, so `down` stays small.

    The gradient of `up` is dense whatever `sparse` says: it has `rank` columns only. A padding
    token gets no gradient, hence keeps its base vector. Scaling gradients by frequency is defined
    for the table alone, so there the sum is formed.

    Shapes: input (…) of integers; weight (tokens, width); result (…, width).
    """
    if not isinstance(weight, AdaptedWeight) or max_norm is not None or scale_grad_by_freq:
        return NotImplemented
    if weight.delta.dropout != 0:
        return NotImplemented
    base = F.embedding(input, weight.base, padding_idx, None, norm_type, sparse=sparse)
    up, down = weight.delta.factors(base.dtype)
    rows = F.embedding(input, up, padding_idx)
    return base + rows @ down
