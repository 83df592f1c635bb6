"""How many allocations a minute are evaluated, with what they share computed once and without.

    python -m benchmarks.evaluation --write docs/results/evaluation.md

Real models and data, one thread; both ways in turns.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from autolora.artifacts.files import write_bytes
from benchmarks.evaluation_rows import STACKED, Chosen, Row, Stack, measured
from benchmarks.provenance import provenance

CELLS = ("cola/1", "wordnet/1", "digits/1")

_READING = """\
How to read it:

- A run of 20 steps at rank 8 on every target is cut to many allocations, each evaluated on batches
  of 32 examples of the validation split, as `nest` does it: `cola` and `wordnet` are MiniLM, padded
  to the longest text of a batch; `digits` is MobileNetV2 at 32 × 32 pixels. The budget is that of
  uniform rank 1.
- *Moves* are those that local search measures around the uniform allocation; *gate* is a dozen
  random allocations; *placements* are one kind of target alone, or all but one; *cuts* the uniform
  allocation with one target at rank 0, for each target. Fewer than three share nothing: there a
  ratio other than 1 is what the measurement is worth.
- *Without* and *shared* are candidates a minute of the processor's time on one thread, medians over
  turns in which both met the same moment of the machine; the ratio is the median over turns, with
  its range. The machine did other work, too. *Passes* is what a candidate costs in the ledger, of
  a whole forward: the part of its multiplications that was computed, rounded up to whole examples.
- *Equal* says whether every loss of every example is the same to the bit both ways.
- *Choosing* is the whole second stage of `nest` under one allowance of example-passes: scores with
  their gradients, gate, race, local search. What is spared there is spent on further candidates.
- *Stacked* is a batch that holds the examples of 2, 4 or 8 candidates: how many times as cheap a
  candidate is as alone. *Base* and *all ranks* bound what can be had: the examples repeated,
  without any delta, and with all ranks of all targets, still without the mask that would cut
  them. *Mixed* is `autolora.mixed` with an adapter for each candidate, as it is.
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.evaluation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page there, too")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--cells", nargs="+", default=CELLS, metavar="CELL")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    found = [measured(cell, asked.turns) for cell in asked.cells]
    text = page(
        [row for each in found for row in each.rows],
        [chosen for each in found for chosen in each.chosen],
        [stack for each in found for stack in each.stacks],
        time.perf_counter() - began,
    )
    if asked.write:
        write_bytes(asked.write, (text + "\n").encode())
    print(text)


def page(
    rows: Sequence[Row], chosen: Sequence[Chosen], stacks: Sequence[Stack], seconds: float
) -> str:
    """All tables."""
    head = "| | examples | candidates | without | shared | ratio | passes | equal |"
    single = [head, "|---|---:|---:|---:|---:|---:|---:|---|", *map(_row, rows)]
    whole = ["| | | evaluations | example-passes | s | evaluations a minute | loss |",
             "|---|---|---:|---:|---:|---:|---:|", *map(_chosen, chosen)]  # fmt: skip
    columns = "".join(f" {k} |" for k in STACKED)
    stacked = [f"| | examples | | alone ms |{columns}",
               "|---|---:|---|---:|" + "---:|" * len(STACKED), *map(_stack, stacks)]  # fmt: skip
    return "\n\n".join((
        "# Evaluating allocations without training them",
        provenance("benchmarks.evaluation", seconds, "torch", "torchvision", "transformers"),
        _READING.strip(),
        "## Candidates a minute",
        "\n".join(single),
        "## Choosing, as a whole",
        "\n".join(whole),
        "## Stacked, by how many candidates a batch holds",
        "\n".join(stacked),
    ))  # fmt: skip


def _row(row: Row) -> str:
    without, shared = (statistics.median(each) for each in (row.without, row.shared))
    ratios = [a / b for a, b in zip(row.without, row.shared, strict=True)]
    ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    minute = 60 * row.candidates
    return (
        f"| {row.cell} {row.name} | {row.examples} | {row.candidates} | {minute / without:,.0f} | "
        f"{minute / shared:,.0f} | {ratio} | {row.passes:.2f} | "
        f"{'yes' if row.equal else '**no**'} |"
    )


def _chosen(row: Chosen) -> str:
    minute = 60 * row.evaluations / row.seconds
    return (
        f"| {row.cell} | {'shared' if row.shared else 'without'} | {row.evaluations} | "
        f"{row.passes} | {row.seconds:.1f} | {minute:,.0f} | {row.loss:.4f} |"
    )


def _stack(row: Stack) -> str:
    gains = "".join(f" {gain:.2f} |" for gain in row.gains)
    return f"| {row.cell} | {row.examples} | {row.name} | {1e3 * row.alone:.1f} |{gains}"


if __name__ == "__main__":
    main()
