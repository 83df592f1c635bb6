"""Tasks and models for the frozen prefix, small and in float64."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._pytree import tree_map_only

from autolora.lora import Allocation, attach, targets
from autolora.training import modes
from autolora.training.batch import Batch, mean_loss
from autolora.training.prefix import Prefix, Replay

CPU = torch.device("cpu")


@dataclass
class Rows:
    """Inputs with classes; the last inputs are for validation."""

    inputs: dict[str, Tensor]
    labels: Tensor
    call: Callable[[nn.Module, dict[str, Tensor]], Tensor]
    lengths: Tensor | None = None
    augmented: bool = False
    valid: int = 12
    name: str = "rows"

    def where(self, split: str) -> Tensor:
        first = len(self.labels) - self.valid
        return torch.arange(first) if split == "train" else torch.arange(first, first + self.valid)

    def examples(self, split: str) -> int:
        return len(self.where(split))

    def batches(self, split: str, *, batch_size: int, seed: int | None = None) -> Iterator[Batch]:
        rows = self.where(split)
        order = torch.arange(len(rows))
        if seed is not None:
            order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
        for chosen in order.split(batch_size):
            at = rows[chosen]
            inputs = {name: value[at] for name, value in self.inputs.items()}
            lengths = None
            if self.lengths is not None:
                lengths = self.lengths[at]
                longest = int(lengths.max())
                inputs = tree_map_only(Tensor, lambda t, n=longest: t[:, :n], inputs)
            yield Batch(inputs, self.labels[at], chosen, torch.ones(len(at)), lengths)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        scores = self.call(model, batch.inputs)
        scores = scores if scores.ndim == 2 else scores.flatten(1)
        losses = F.cross_entropy(scores, batch.targets, reduction="none")
        return mean_loss(losses, batch.weights)

    def fingerprint(self) -> str:
        return self.name


@dataclass
class Trained:
    """What a training gave, and how often each module ran in it."""

    state: dict[str, Tensor]
    losses: list[float]
    ran: dict[str, int]
    prefix: Prefix | None
    replay: Replay | None


def trained(
    model: nn.Module,
    task: Any,
    adapted: Sequence[str],
    head: Sequence[str] = (),
    *,
    prefix: Prefix | None = None,
    steps: int = 5,
    count: Sequence[str] = (),
) -> Trained:
    """A few steps of AdamW at rank 2 and the validation loss after each."""
    found = [t for t in targets(model) if t.layer in adapted]
    torch.manual_seed(0)
    assert {t.layer for t in found} == set(adapted)
    adapter = attach(model, Allocation.uniform(found, 2), dropout=0.1).also_train(*head)
    for parameter in adapter.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    replay = prefix and prefix.prepare(model, {*adapted, *head}, task, CPU)
    ran = _counting(model, count)
    torch.manual_seed(1)
    losses = _loop(model, task, list(adapter.parameters()), replay, steps)
    state = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
    return Trained(state, losses, ran, prefix, replay)


def _loop(
    model: nn.Module, task: Any, parameters: list[nn.Parameter], replay: Any, steps: int
) -> list[float]:
    optimizer = torch.optim.AdamW(parameters, lr=1e-2)
    on = replay.on if replay else (lambda *_: torch.enable_grad())
    losses: list[float] = []
    while len(losses) < steps:
        for batch in task.batches("train", batch_size=7, seed=len(losses)):
            modes.train(model)
            optimizer.zero_grad()
            with on(model, batch, "train"):
                loss = task.loss(model, batch)
            loss.backward()
            optimizer.step()
            with modes.evaluating(model):
                (held,) = task.batches("valid", batch_size=100)
                with replay.on(model, held, "valid") if replay else torch.inference_mode():
                    losses.append(task.loss(model, held).item())
            if len(losses) == steps:
                break
    return losses


def _counting(model: nn.Module, names: Sequence[str]) -> dict[str, int]:
    ran = dict.fromkeys(names, 0)
    for name in names:
        module = model.get_submodule(name)

        def counted(
            *args: Any, name: str = name, forward: Any = module.forward, **more: Any
        ) -> Any:
            ran[name] += 1
            return forward(*args, **more)

        module.__dict__["forward"] = counted
    return ran
