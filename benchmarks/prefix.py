"""What the kept activations of a frozen prefix spare.

    python -m benchmarks.prefix --write docs/results/prefix.md

Placements that leave the lower part of a model frozen are trained with and without kept
activations, in turns, on one thread: single steps and evaluations, and whole runs of the training
loop, of which the first of a process records what the later ones find.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from autolora.artifacts.files import write_bytes
from benchmarks.prefix_cases import cases
from benchmarks.prefix_rows import RANK, Paired, Row, measured
from benchmarks.provenance import provenance

TARGET = 1.8
_MANY = 100

_READING = f"""\
How to read it:

- The upper half is adapted: layers 3 to 5 of MiniLM's 6, and of MobileNetV2 `features[10:]`, 9 of
  19 modules; every convolution or linear layer in it at rank {RANK}, in float32. A new head is
  trained beside it. *Head only* adapts nothing.
- Times and ratios are without / with, of the processor on one thread: medians over turns in which
  both met the same moment of the machine, with the middle half (steps) or the range (whole runs)
  in brackets. The machine did other work, too.
- *FLOPs* is the same ratio of counted FLOPs: what can be spared if every FLOP takes as long as any
  other. Below the cut only the forward pass is spared, for nothing flows back there in any case. A
  ratio of times lies above it where the lower part is slow for its FLOPs (large feature maps,
  normalised by frozen statistics), and below it where the upper part is.
- *All the way* compares with steps whose gradient flows back to the bottom of the model, as it does
  where its input is made to ask for one (`enable_input_require_grads` in transformers).
- *Serving* is what it takes to gather the activations of a batch and to put them in place.
- A *whole run* has 5 epochs and an evaluation on a fifth as many examples after each, and builds
  its model anew. The *first* run of a process records both splits; *later* ones, trials of the
  same study, find them. Either checks once that activations, loss and gradients agree with those
  without; the FLOPs of whole runs leave this check out.
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.prefix",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page there, too")
    parser.add_argument("--turns", type=int, default=3, help="whole runs; ten times as many steps")
    parser.add_argument("--only", default="", help="rows whose name contains this text")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    rows: list[Row] = []
    for case in cases(asked.only):
        rows.append(measured(case, asked.turns))
        sys.stderr.write(f"{case.name}: {rows[-1].kept}\n{_verdict(rows[-1])}\n")
        text = page(rows, time.perf_counter() - began)
        if asked.write:  # after each row: a run that is stopped leaves what it has found
            write_bytes(asked.write, (text + "\n").encode())
    print(text)


def page(rows: Sequence[Row], seconds: float) -> str:
    """Both tables, and what the target misses."""
    single = ["| | step ms | step | FLOPs | evaluation | FLOPs | all the way | serving ms |",
              "|---|---:|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    whole = ["| | steps | first run | FLOPs | later runs | FLOPs |",
             "|---|---:|---:|---:|---:|---:|"]  # fmt: skip
    return "\n\n".join((
        "# Kept activations of the frozen prefix",
        provenance("benchmarks.prefix", seconds, "torch", "torchvision", "transformers"),
        _READING.strip(),
        "## A step, and an evaluation of a batch",
        "\n".join([*single, *map(_single, rows)]),
        "What is kept of the train split:\n\n"
        + "\n".join(f"- {row.case.name}: {row.kept}." for row in rows),
        "## A whole run",
        "\n".join([*whole, *map(_whole, rows)]),
        f"## Against the target of {TARGET}",
        "\n".join(map(_verdict, rows)),
    ))  # fmt: skip


def _single(row: Row) -> str:
    without, kept = (1e3 * statistics.median(s) for s in (row.step.without, row.step.kept))
    flops = [_number(a / b) for a, b in (row.step_flops, row.evaluation_flops)]
    return (
        f"| {row.case.name} | {without:.1f} / {kept:.1f} | {_middle(row.step)} | {flops[0]} | "
        f"{_middle(row.evaluation)} | {flops[1]} | {_middle(row.flowing)} | "
        f"{1e3 * row.replay_seconds:.2f} |"
    )


def _whole(row: Row) -> str:
    return (
        f"| {row.case.name} | {row.case.steps} | {_range(row.first)} | "
        f"{_number(row.flop_ratio(records=True))} | {_range(row.later)} | "
        f"{_number(row.flop_ratio(records=False))} |"
    )


def _verdict(row: Row) -> str:
    found = {"step": row.step, "first run": row.first, "later runs": row.later}
    allowed = {
        "step": row.step_flops[0] / row.step_flops[1],
        "first run": row.flop_ratio(records=True),
        "later runs": row.flop_ratio(records=False),
    }
    parts = []
    for what, paired in found.items():
        ratio = statistics.median(paired.ratios)
        missed = f"**missed** (FLOPs allow {_number(allowed[what])})"
        parts.append(f"{what} {ratio:.2f}: {'pass' if ratio >= TARGET else missed}")
    return f"- {row.case.name}: {'; '.join(parts)}."


def _number(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < _MANY else f"> {_MANY}"


def _middle(paired: Paired) -> str:
    low, _, high = statistics.quantiles(paired.ratios, n=4)
    return f"{statistics.median(paired.ratios):.2f} ({low:.2f} to {high:.2f})"


def _range(paired: Paired) -> str:
    ratios = paired.ratios
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


if __name__ == "__main__":
    main()
