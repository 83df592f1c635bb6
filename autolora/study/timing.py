"""A short timing of this machine: a few real steps, and batches that are only evaluated."""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from autolora.lora.attach import attach
from autolora.space.proposal import Proposal
from autolora.training.device import choose, moved, precise
from autolora.training.meter import peak_bytes
from autolora.training.modes import evaluating, train
from autolora.training.seeds import seeded
from autolora.training.settings import TrainingSettings
from autolora.training.task import Split, Task

_REPEATS = 3  # the median of so many, after one that warms up


@dataclass(frozen=True)
class Timing:
    """What an example takes on this machine, and how that was measured.

    Units: `trained`, `evaluated` and `measured` are seconds an example: forward and backward with
    the update; on the validation split; on the test split, where a model may write its answer.
    `peak_bytes` is the most that the process held up to then; on a GPU, torch alone.
    """

    trained: float
    evaluated: float
    measured: float
    batch: int
    repeats: int
    threads: int
    device: str
    peak_bytes: int


def timed(task: Task, proposal: Proposal, settings: TrainingSettings, *, threads: int) -> Timing:
    """Trains a fresh model for four steps and evaluates a batch of it; nothing is kept.

    Activations are computed at every step, also where a search would keep those of the frozen
    layers. The seed is fixed: it times the same batches at every call.
    """
    device = choose(settings.device)
    with seeded(0, device), _threads(threads):
        model = task.model().to(device)
        attached = attach(model, proposal.allocation, scale=proposal.scale)
        attached.also_train(*task.head)
        optimizer = torch.optim.AdamW(attached.parameters(), lr=proposal.learning_rate)
        batch = _batch(task, "train", -(-settings.batch_size // settings.accumulate), device)

        def step() -> None:
            optimizer.zero_grad()
            with precise(settings.precision, device):
                loss = task.loss(model, batch)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

        def answer(*, final: bool) -> None:
            with evaluating(model), precise(settings.precision, device):
                task.answer(model, seen, final=final)

        train(model)
        examples = min(settings.batch_size // settings.accumulate or 1, task.examples("train"))
        trained = _seconds(step, device) / examples
        peak = peak_bytes(device)
        count = min(task.evaluation_batch, task.examples("valid"))
        seen = _batch(task, "valid", count, device)
        evaluated = _seconds(lambda: answer(final=False), device) / count
        measured = _seconds(lambda: answer(final=True), device) / count
        peak = max(peak, peak_bytes(device))
    return Timing(trained, evaluated, measured, examples, _REPEATS, threads, str(device), peak)


def _batch(task: Task, split: Split, size: int, device: torch.device) -> Any:
    seed = 0 if split == "train" else None
    return moved(next(iter(task.batches(split, batch_size=size, seed=seed))), device)


def _seconds(work: Callable[[], None], device: torch.device) -> float:
    """The median time of a few repetitions, after one that warms up."""
    taken = []
    for _ in range(1 + _REPEATS):
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """As many threads as a worker has."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def threads_of_a_worker(backend: str, cpus: float | None = None) -> int:
    """How many threads a worker computes with, unless told: one for each CPU that it is given.

    A process of its own is given one; a search in this process takes what torch takes.
    """
    if backend != "inline":
        usual = str(max(1, int(cpus or 1)))
        return int(os.environ.get("OMP_NUM_THREADS", usual).partition(",")[0])
    return torch.get_num_threads()
