"""A task of the user's own: model, batches and loss from a function in Python."""

import hashlib
import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from types import MappingProxyType
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from autolora.errors import CodeNotAllowed, NoSuchTask
from autolora.metrics import metrics
from autolora.space.read import Strict, validate
from autolora.training.answers import Answers, Metric
from autolora.training.task import SPLITS, Split, Task

_BATCH = 64

_Call = tuple[tuple[Any, ...], Mapping[str, Any]]
_CALLS: Mapping[str, _Call] = MappingProxyType(
    {
        "model": ((), {}),
        "batches": (("train",), {"batch_size": 1, "seed": 0}),
        "loss": ((None, None), {}),
    }
)
_OPTIONAL_CALLS: Mapping[str, _Call] = MappingProxyType(
    {
        "answer": ((None, None), {"final": True}),
        "examples": (("train",), {}),
        "fingerprint": ((), {}),
    }
)


class TensorsOptions(Strict):
    """The `task` block of a study of the user's own task, without its type.

    Attributes:
        entry: The function that makes the task, as `package.module:function`.
        version: Any text; another one tells that code or data have changed, so that results of
            before are not taken for those of now.
        metrics: What is measured beside the loss and the metrics of the task itself.
    """

    entry: str = Field(pattern=r"^[^:]+:[^:]+$")
    version: str = "1"
    metrics: tuple[str, ...] = ()


OPTIONS = TensorsOptions


def task(options: Mapping[str, Any], *, allow_code: bool = False) -> Task:
    """The task that a function of the user's makes.

    Raises:
        CodeNotAllowed: if code is not allowed.
        NoSuchTask: if there is no such function, or what it makes lacks a part.
        UnknownName: if a metric is misspelt.
    """
    chosen = validate(dict(options), TensorsOptions, "task")
    measured = metrics(chosen.metrics)
    if not allow_code:
        raise CodeNotAllowed(chosen.entry)
    made = _made(chosen.entry)
    for name, call in _CALLS.items():
        if not callable(getattr(made, name, None)):
            raise NoSuchTask(chosen.entry, f"what it makes has no function {name}")
        _check_call(chosen.entry, made, name, call)
    for name in _OPTIONAL_CALLS.keys() & set(dir(made)):
        _check_call(chosen.entry, made, name, _OPTIONAL_CALLS[name])
    found = TensorsTask(made, chosen, measured | dict(getattr(made, "metrics", {})))
    for split in SPLITS:
        if found.examples(split) == 0:
            raise NoSuchTask(chosen.entry, f'its split "{split}" holds no examples')
    return found


@dataclass(frozen=True)
class TensorsTask:
    """What the user made, with the parts of a task that can be left out.

    Left out, `answer` gives the loss of each example, one at a time, and no predictions;
    `examples` is counted; `head` and `metrics` are empty but for the loss.
    """

    made: Any
    options: TensorsOptions
    metrics: Mapping[str, Metric]

    @property
    def head(self) -> tuple[str, ...]:
        """The modules trained in full."""
        return tuple(getattr(self.made, "head", ()))

    @property
    def evaluation_batch(self) -> int:
        """How many examples are measured at once: without `answer`, each alone."""
        if not hasattr(self.made, "answer"):
            return 1
        return int(getattr(self.made, "evaluation_batch", _BATCH))

    def model(self) -> nn.Module:
        """A fresh base."""
        model = self.made.model()
        if not isinstance(model, nn.Module):
            raise NoSuchTask(self.options.entry, f"its model is a {_kind(model)}, no torch module")
        return model

    def batches(self, split: Split, *, batch_size: int, seed: int | None = None) -> Iterator[Any]:
        """One pass over a split."""
        yield from self.made.batches(split, batch_size=batch_size, seed=seed)

    def examples(self, split: Split) -> int:
        """How many examples a split holds; counted once."""
        return self._counts[split]

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """The mean loss of a batch."""
        loss = self.made.loss(model, batch)
        if not isinstance(loss, Tensor) or loss.dim() > 0:
            found = f"of shape {list(loss.shape)}" if isinstance(loss, Tensor) else _kind(loss)
            raise NoSuchTask(self.options.entry, f"its loss is {found}, not a tensor of one number")
        return loss

    def answer(self, model: nn.Module, batch: Any, *, final: bool) -> Answers:
        """What the user's `answer` gives, or else the loss alone."""
        if hasattr(self.made, "answer"):
            answers: Answers = self.made.answer(model, batch, final=final)
            return answers
        loss = self.loss(model, batch).double().cpu().view(1)
        return Answers(loss, torch.tensor([self._size(batch)], dtype=torch.float64))

    def fingerprint(self) -> str:
        """A digest of the entry, its version, and the user's own fingerprint where there is one."""
        own = self.made.fingerprint() if hasattr(self.made, "fingerprint") else ""
        content = json.dumps([self.options.model_dump(mode="json"), own], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    @cached_property
    def _counts(self) -> Mapping[Split, int]:
        return {split: self._count(split) for split in SPLITS}

    def _count(self, split: Split) -> int:
        if hasattr(self.made, "examples"):
            return int(self.made.examples(split))
        return sum(self._size(batch) for batch in self.batches(split, batch_size=_BATCH))

    def _size(self, batch: Any) -> int:
        """How many examples are in a batch: the length of its first tensor."""
        for leaf in tree_leaves(batch):
            if isinstance(leaf, Tensor) and leaf.dim() > 0:
                return len(leaf)
        raise NoSuchTask(self.options.entry, "its batches hold no tensors with examples in rows")


def _made(entry: str) -> Any:
    module, _, function = entry.partition(":")
    try:
        make = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise NoSuchTask(entry, str(error)) from error
    if not callable(make):
        raise NoSuchTask(entry, f"it is of type {_kind(make)}, no function")
    return make()


def _check_call(entry: str, made: Any, name: str, call: _Call) -> None:
    """Makes sure that a function takes what it is given."""
    positional, named = call
    signature = inspect.signature(getattr(made, name))
    try:
        signature.bind(*positional, **named)
    except TypeError as error:
        raise NoSuchTask(entry, f"{name}{signature} is called otherwise: {error}") from error


def _kind(value: object) -> str:
    return type(value).__name__
