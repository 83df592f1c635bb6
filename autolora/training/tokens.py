"""The losses of sequences, of which some places count."""

from torch import Tensor
from torch.nn import functional as F

IGNORED = -100  # the target of a place that does not count


def token_losses(scores: Tensor, targets: Tensor) -> Tensor:
    """The mean cross-entropy over the places of each example that count, in nats; 0 without any.

    Shapes: scores (batch, places, classes); targets (batch, places) of int64; result (batch,).
    """
    losses = F.cross_entropy(
        scores.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none"
    )
    counted = (targets != IGNORED).sum(1)
    return losses.view(targets.shape).sum(1) / counted.clamp(min=1)
