"""The linear probe: the head alone, trained to the end on features that are computed once."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from autolora.errors import NoFeatures
from autolora.training.answers import loss
from autolora.training.batch import Batch
from autolora.training.device import moved
from autolora.training.evaluate import Passing, answered
from autolora.training.prefix import Prefix, Replay
from autolora.training.prefix_run import in_mode
from autolora.training.task import Task

PENALTIES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)  # from the strongest, each going on from the last
_BATCH = 256
_ITERATIONS = 60  # of L-BFGS at each penalty

State = Mapping[str, Tensor]


def probe_head(task: Task, model: nn.Module, device: torch.device, prefix: Prefix) -> State:
    """The head of a task trained on frozen features, by name; the model stays as it was.

    The loss of the train split with an L2 penalty on the weights is minimised by L-BFGS, for each
    of a few penalties; the one with the lowest validation loss wins. Nothing is drawn: equal
    starts give equal heads. Features are those of evaluation mode, without augmentation.

    Args:
        task: Its `head` is trained.
        model: A model of the task on the device, without an adapter.
        device: Where it is.
        prefix: Keeps the features and counts the passes that they cost.

    Raises:
        NoFeatures: if the features cannot be kept.

    Source: Liu and Nocedal 1989.
    """
    head = {
        f"{name}.{own}": parameter
        for name in task.head
        for own, parameter in model.get_submodule(name).named_parameters()
    }
    if not head:
        return {}
    before = {name: parameter.detach().clone() for name, parameter in head.items()}
    with _alone(model, head), in_mode(model, training=False):
        replay = prefix.prepare(model, task.head, task, device, training=False)
        if replay is None or set(replay.splits) != {"train", "valid"}:
            raise NoFeatures("; ".join(f"{s}: {why}" for s, why in prefix.notes.items()))
        found = _Probe(task, model, device, replay, head).best()
    with torch.no_grad():
        for name, parameter in head.items():
            parameter.copy_(before[name])
    return found


@dataclass(frozen=True)
class _Probe:
    """A head on kept features."""

    task: Task
    model: nn.Module
    device: torch.device
    replay: Replay
    head: Mapping[str, nn.Parameter]

    def best(self) -> State:
        """The head at the penalty with the lowest validation loss."""
        found = []
        for penalty in PENALTIES:
            self._minimise(penalty)
            state = {name: parameter.detach().clone() for name, parameter in self.head.items()}
            found.append((self._valid_loss(), state))
        return min(found, key=lambda each: each[0])[1]

    def _minimise(self, penalty: float) -> None:
        optimizer = torch.optim.LBFGS(
            self.head.values(), max_iter=_ITERATIONS, line_search_fn="strong_wolfe"
        )
        weights = [p for p in self.head.values() if p.ndim > 1]

        def closure() -> Tensor:
            optimizer.zero_grad()
            value = penalty * torch.stack([w.square().sum() for w in weights]).sum() / 2
            value.backward()  # type: ignore[no-untyped-call]
            total = value.detach()
            for batch, share in self._batches():
                with self.replay.on(self.model, batch, "train"):
                    part = self.task.loss(self.model, moved(batch, self.device)) * share
                    part.backward()  # type: ignore[no-untyped-call]
                total = total + part.detach()
            return total

        with torch.enable_grad():
            optimizer.step(closure)  # type: ignore[no-untyped-call]

    def _batches(self) -> Iterator[tuple[Batch, float]]:
        """The train split, each batch with its share of the weight of all examples."""
        every = list(self.task.batches("train", batch_size=_BATCH))
        total = sum(batch.weights.sum().item() for batch in every)
        for batch in every:
            yield batch, batch.weights.sum().item() / total

    def _valid_loss(self) -> float:
        passing = Passing(partial(self.replay.on, self.model, split="valid"))
        return loss(answered(self.model, self.task, "valid", final=False, passing=passing))


@contextmanager
def _alone(model: nn.Module, head: Mapping[str, nn.Parameter]) -> Iterator[None]:
    """Within this context the head alone asks for gradients."""
    asked = {parameter: parameter.requires_grad for parameter in model.parameters()}
    for parameter in asked:
        parameter.requires_grad_(False)
    for parameter in head.values():
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter, before in asked.items():
            parameter.requires_grad_(before)
            parameter.grad = None
