"""What the kept activations of a frozen prefix spare.

    python -m benchmarks.prefix --write docs/results/prefix.md

The upper half of MiniLM (16 × 32 tokens) and of MobileNetV2 (32 images of 48 × 48) is adapted at
rank 8 and trained with and without kept activations, in turns, on one thread. *Step* leaves
recording out; *whole* is a training of some epochs with everything.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch

from autolora.artifacts.files import write_bytes
from autolora.lora.allocation import Allocation
from autolora.lora.targets import targets
from autolora.space.proposal import Proposal
from autolora.tasks import image, text
from autolora.training.fit import Run, train
from autolora.training.settings import TrainingSettings
from autolora.training.shared import Shared
from autolora.training.task import Task

BUDGET_BYTES = 4_000_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=6)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    lines = ["| model | examples | epochs | step, without / with | whole, without / with |",
             "|---|---:|---:|---:|---:|"]  # fmt: skip
    for name, task, upper, batch in (minilm(), mobilenet()):
        lines.append(_row(name, task, upper, (batch, asked.epochs, asked.turns)))
        print(lines[-1], flush=True)
    page = "\n".join([_HEAD, *lines, ""])
    if asked.write:
        write_bytes(asked.write, page.encode())


_HEAD = (
    "# Kept activations of the frozen prefix\n\n```\npython -m benchmarks.prefix --write "
    "docs/results/prefix.md\n```\n\nThe upper half is adapted at rank 8 in float32 on one thread; "
    "*step* is the median ratio of training time with everything recorded already, *whole* that of "
    "a training with recording and its check included. Both count the evaluations.\n"
)


def minilm() -> tuple[str, Task, list[str], int]:
    data = {"path": "wordnet", "splits": {"train": 800, "valid": 100, "test": 100}}
    task = text.task({"model": "minilm", "data": data, "objective": "classification",
                      "pooling": "mean", "max_length": 32})  # fmt: skip
    names = [t.name for t in targets(task.model()) if ".layer." in t.name]
    upper = [n for n in names if int(n.split(".layer.")[1].split(".")[0]) >= 3]
    return "MiniLM, batches of 16", task, upper, 16


def mobilenet() -> tuple[str, Task, list[str], int]:
    data = {"path": "digits", "splits": {"train": 960, "valid": 128, "test": 100}}
    task = image.task({"model": "mobilenet_v2", "data": data, "image_size": 48})
    names = [t.name for t in targets(task.model()) if t.name.startswith("features.")]
    upper = [n for n in names if int(n.split(".")[1]) >= 10]
    return "MobileNetV2, batches of 32", task, upper, 32


def _row(name: str, task: Task, upper: list[str], how: tuple[int, int, int]) -> str:
    batch, epochs, turns = how
    found = [t for t in targets(task.model()) if t.name in upper]
    layers = frozenset(t.layer for t in found)
    proposal = Proposal(Allocation.uniform(found, 8), 1e-3)
    steps = epochs * task.examples("train") // batch
    plain = TrainingSettings(steps=steps, batch_size=batch, evaluations=2, base_dropout=False)
    kept = plain.model_copy(update={"cache_bytes": BUDGET_BYTES})
    warm = Shared(layers=layers)
    train(Run(task, proposal, kept.model_copy(update={"steps": 2}), 0), warm)
    print(name, warm.prefix.notes if warm.prefix else None, flush=True)
    whole, step = [], []
    for _ in range(turns):
        without = _seconds(Run(task, proposal, plain, 0), Shared(layers=layers))
        step.append(without / _seconds(Run(task, proposal, kept, 0), warm))
        whole.append(without / _seconds(Run(task, proposal, kept, 0), Shared(layers=layers)))
    each = [f"{statistics.median(r):.2f} ({min(r):.2f} to {max(r):.2f})" for r in (step, whole)]
    return f"| {name} | {task.examples('train')} | {epochs} | {each[0]} | {each[1]} |"


def _seconds(run: Run, shared: Shared) -> float:
    began = time.process_time()
    train(run, shared)
    return time.process_time() - began


if __name__ == "__main__":
    main()
