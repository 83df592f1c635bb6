"""What an adapter costs: autolora beside PEFT, a dense sum and the frozen base.

Rows are single layers and whole models, in training (forward and backward, gradients dropped
after) and in inference. All variants of a row take turns in one process; a process is started for
each number of threads. Targets stand beside the rows as "pass" or "missed".
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import table
from benchmarks.others import Note
from benchmarks.provenance import provenance
from benchmarks.rows import Row

Measured = tuple[list[Row], list[Note]]

READING = f"""\
How to read it:

- **base** is the frozen model without an adapter, the limit: its backward pass goes back as far as
  an adapter makes it go (the outputs of the adapted layers ask for gradient; the input of a single
  layer does, too, as inside a network), but no weight gets a gradient.
- **autolora**, **PEFT** and **dense** (`torch.nn.utils.parametrize` adding scale · up · down to the
  weight) hold equal factors on the very same base parameters; that they answer alike is checked
  before each row. Layers have rank 8 where the name says no other; the blocks of a packed parameter
  share it (PEFT has one delta there), so the deltas of a row have equal rank everywhere. In the
  transformers every linear layer is adapted, in MobileNetV2 every convolution but the depthwise
  ones and the classifier. PEFT's outermost class, whose call costs extra, is left out.
- PEFT has no row (–) where it computes another function: its delta leaks across groups of a
  convolution.
- Whole models have random weights of the exact architecture, and dropout where the architecture
  has it: time does not depend on the values.
- With one thread, times are processor times of the measuring process, which other work on the
  machine disturbs little; with more they are times of the clock.
- Ratios are medians over turns of the quotient within a turn, with their standard error after ±.
  A ratio may miss its target by {table.NOISE} as noise of the machine.
- FLOPs are torch's own count, with the products added in place that it forgets; – where it does
  not count right (groups, look-ups, recurrent and fused attention kernels).
- *Saved* are the bytes of the distinct storages that the forward pass hands to autograd for the
  backward pass, without those of parameters, buffers and inputs. *Peak* is the most that a step
  holds at once of torch's CPU allocator beyond what was held before it; oneDNN's own scratch
  memory is not seen. Both in MB (10⁶ bytes).
"""


def main() -> None:
    asked = _arguments()
    started = time.perf_counter()
    found = {threads: _measured(threads, asked) for threads in asked.threads}
    text = page(found, time.perf_counter() - started)
    print(text)
    if asked.write:
        beside = asked.write.with_suffix(".new")
        beside.write_text(text + "\n")
        beside.replace(asked.write)


def page(found: Mapping[int, Measured], seconds: float) -> str:
    """All tables of a run."""
    parts = [
        "# What an adapter costs",
        provenance("benchmarks.adapter", seconds, "torch", "peft", "transformers"),
        READING.strip(),
    ]
    for threads, (rows, notes) in found.items():
        unit = "thread" if threads == 1 else "threads"
        for mode, title in (("train", "Training step"), ("infer", "Inference")):
            chosen = [row for row in rows if row.mode == mode]
            parts += [f"## {title}, {threads} {unit}", table.times(chosen)]
        if notes:
            parts += [f"## Beside the steps, {threads} {unit}", table.other(notes)]
    counted = [row for row in next(iter(found.values()))[0] if row.counts]
    train = [row for row in counted if row.mode == "train"]
    infer = [row for row in counted if row.mode == "infer"]
    parts += ["## FLOPs of a training step", table.flops(train)]
    parts += ["## FLOPs of inference", table.flops(infer)]
    parts += ["## Memory of a training step, MB", table.memory(train), "## Missed", _missed(found)]
    return "\n\n".join(parts)


def _missed(found: Mapping[int, Measured]) -> str:
    lines = [
        f"- {threads} thread(s): {what}"
        for threads, measured in found.items()
        for what in table.missed(*measured)
    ]
    return "\n".join(lines) or "Nothing: every target is met."


def _measured(threads: int, asked: argparse.Namespace) -> Measured:
    command = [sys.executable, "-m", "benchmarks.process", "--threads", str(threads)]
    command += ["--seconds", str(asked.seconds), "--only", asked.only]
    command += ["--quick"] * asked.quick + ["--count"] * (threads == asked.threads[0])
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    rows = [Row(**line["row"]) for line in lines if "row" in line]
    return rows, [Note(**line["note"]) for line in lines if "note" in line]


def _arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.adapter",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--threads", type=int, nargs="+", default=[1, 2], help="a process for each (1 2)"
    )
    parser.add_argument(
        "--seconds", type=float, help="time for each row and mode, at least 7 turns (5)"
    )
    parser.add_argument("--only", default="", help="rows whose name contains this text")
    parser.add_argument("--quick", action="store_true", help="few small rows, 1 thread, a minute")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page there, too")
    asked = parser.parse_args(given)
    if asked.quick:
        asked.threads = asked.threads[:1]
    if asked.seconds is None:
        asked.seconds = 0.1 if asked.quick else 5.0
    return asked


if __name__ == "__main__":
    main()
