"""Does a model answer and learn from kept activations as it does without?"""

from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from autolora.errors import OtherPath
from autolora.training.batch import Batch
from autolora.training.prefix_replay import Place, Recorded, serving, watching
from autolora.training.seeds import seeded
from autolora.training.task import Task

_EXACT = {torch.float64: 1e-12, torch.float32: 1e-4}
_TF32 = 2e-3  # products on a GPU may keep ten bits
_LEARNT = 10.0  # how much farther apart losses and gradients may be: they end long sums


def disagreement(task: Task, model: nn.Module, batch: Batch, recorded: Recorded) -> str | None:
    """Why kept activations will not do, from one batch on the model's device; None if they will.

    The batch goes through the model twice, with the same random numbers. Compared are each
    activation, padding apart; the loss; and, in training mode, the gradient of all that is
    trained, which also tells whether anything above looks at padding.
    """
    device = batch.examples.device
    kept = recorded.read(batch, device)
    seen: dict[Place, Tensor] = {}

    def note(place: Place, activation: Tensor) -> None:
        seen[place] = activation.clone()  # the model may go on to change it in place

    plain = _learnt(task, model, batch, watching(model, recorded.cut, note))
    examples = batch.examples.cpu()
    for place, rows in recorded.kept.items():
        tensor = kept[place]
        pair = (rows.unpadded(examples, tensor), rows.unpadded(examples, seen[place]))
        if (apart := _apart(*pair)) > _tolerance(tensor, device):
            return f"what {place[0]} gives an example is {apart:.1e} off in another batch"
    try:
        replayed = _learnt(task, model, batch, serving(model, recorded.cut, kept))
    except OtherPath as error:
        return str(error)
    limit = min(0.1, _LEARNT * max(_tolerance(kept[place], device) for place in recorded.kept))
    for what, one, other in zip(("loss", "gradient"), plain, replayed, strict=True):
        if (apart := _apart(other, one)) > limit:
            return f"the {what} from kept activations is {apart:.1e} off"
    return None


def _learnt(
    task: Task, model: nn.Module, batch: Batch, context: AbstractContextManager[None]
) -> tuple[Tensor, Tensor]:
    """The loss of a batch and, in training mode, its gradient, all in one vector."""
    learnt = [p for p in model.parameters() if p.requires_grad and model.training]
    torch.clear_autocast_cache()  # it may hold copies without gradients
    with seeded(0, batch.examples.device), torch.set_grad_enabled(bool(learnt)), context:
        loss = task.loss(model, batch)
        found = torch.autograd.grad(loss, learnt, allow_unused=True) if learnt else ()
    return loss.detach(), _flat([g for g in found if g is not None], loss)


def _flat(tensors: Sequence[Tensor], like: Tensor) -> Tensor:
    return torch.cat([t.flatten() for t in tensors]) if tensors else like.new_zeros(1)


def _apart(one: Tensor, other: Tensor) -> float:
    """The largest difference, against the largest value."""
    if one.shape != other.shape:
        return float("inf")
    if not one.numel():
        return 0.0
    difference, scale = (one.double() - other.double()).abs().max(), other.double().abs().max()
    return (difference / scale).item() if scale else difference.item()


def _tolerance(activation: Tensor, device: torch.device) -> float:
    """How far apart equal activations may be: kernels sum in another order in another batch."""
    if not activation.is_floating_point():
        return 0.0
    if device.type == "cuda" and activation.dtype == torch.float32:
        return _TF32
    return _EXACT.get(activation.dtype, 4 * torch.finfo(activation.dtype).eps)
