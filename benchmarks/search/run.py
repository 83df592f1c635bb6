"""Runs arms of the search benchmark, and goes on where it was stopped.

    python -m benchmarks.search.run CELL … [--arms NAME …] [--seeds 5] [--folder runs/search]

Every (cell, arm, seed) is one line of `results.jsonl` in the folder: losses of valid and test, what
it spent, what it chose. The test split is opened once for each. Failures are lines too.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from autolora.errors import AutoloraError
from autolora.spending import Memory
from autolora.training.evaluate import answered, values
from autolora.training.shared import Shared
from benchmarks.search.arms import ARMS, Arm
from benchmarks.search.cells import CELLS, Cell
from benchmarks.search.traced import Traced

FILE = "results.jsonl"


def main() -> None:
    """Runs what is asked for and is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cells", nargs="+", choices=CELLS)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("runs/search"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.folder.mkdir(parents=True, exist_ok=True)
    path = asked.folder / FILE
    for cell, seed in ((CELLS[name], seed) for seed in range(asked.seeds) for name in asked.cells):
        work: Traced | None = None
        for arm in (ARMS[name] for name in asked.arms):
            if (f"{cell.name}/{cell.uniform_rank}", arm.name, seed) in done(path):
                continue
            work = work or Traced(cell.terms(seed), seed, Shared(), Memory())
            row = measured(cell, arm, work)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(_line(row), flush=True)


def rows(path: Path) -> list[dict[str, Any]]:
    """All lines so far."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def done(path: Path) -> set[tuple[str, str, int]]:
    """What is there already."""
    return {(row["cell"], row["arm"], row["seed"]) for row in rows(path)}


def measured(cell: Cell, arm: Arm, work: Traced) -> dict[str, Any]:
    """One arm at one seed, the test split included."""
    unit = work.terms.fine_tune
    terms = replace(work.terms, allowance=int(arm.ft * unit))
    mine = Traced(terms, work.seed, work.shared, work.journal)
    about = {"cell": f"{cell.name}/{cell.uniform_rank}", "arm": arm.name, "seed": work.seed}
    began = time.perf_counter()
    try:
        found = arm.run(mine)
    except (AutoloraError, RuntimeError, ArithmeticError) as error:
        return {**about, "error": f"{type(error).__name__}: {error}"[:300], "ft": mine.spent / unit}
    seconds = time.perf_counter() - began
    model = terms.task.model()
    found.adapter.attach_to(model, check=False)
    answers = answered(model, terms.task, "test", final=True)
    return {
        **about,
        "valid": found.loss,
        "test": values(terms.task.metrics, answers),
        "ft": found.example_passes / unit,
        "allowance": terms.allowance / unit,
        "parameters": found.adapter.parameters,
        "budget": terms.parameters,
        "rate": found.learning_rate,
        "seconds": seconds,
        "anytime": mine.best_so_far(),
        "ledger": dict(_ledger(found.ledger)),
        "ranks": dict(found.adapter.allocation),
        "about": {k: v for k, v in found.about.items() if k in _TOLD},
    }


_TOLD = ("chosen", "stretches", "tau", "trusted", "evaluated", "high_rate", "high_loss", "probed")


def _ledger(stages: Any) -> Iterator[tuple[str, int]]:
    totals: dict[str, int] = {}
    for stage in stages:
        totals[stage.name] = totals.get(stage.name, 0) + stage.example_passes
    yield from totals.items()


def _line(row: dict[str, Any]) -> str:
    head = f"{row['cell']:<20} {row['arm']:<32} seed {row['seed']}"
    if "error" in row:
        return f"{head}   {row['error']}"
    return (
        f"{head}   valid {row['valid']:.4f}   test {row['test']['loss']:.4f}   "
        f"{row['ft']:.2f} FT   {row['parameters']:,} parameters"
    )


if __name__ == "__main__":
    main()
