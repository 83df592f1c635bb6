"""How many tokens the model hesitates between: e to the mean loss of a token."""

from torch import Tensor

from autolora.training.answers import Summed, ratio, weighted_losses

DIRECTION = "minimize"
OF = ("labels", "texts", "tokens")


def _exponential(sums: Tensor) -> Tensor:
    return ratio(sums).exp()


metric = Summed(weighted_losses, _exponential)
