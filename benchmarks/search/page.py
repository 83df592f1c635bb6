"""The page of the search benchmark, from the lines that are stored.

    python -m benchmarks.search.page --write docs/results/search.md [--folder runs/search]

Losses are means over the seeds that an arm has; differences are paired by seed with uniform ranks.
"""

import argparse
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autolora.artifacts.files import write_bytes
from autolora.plots.table import student_half_width
from autolora.study.versions import versions
from benchmarks.kept import kept
from benchmarks.search.arms import ARMS
from benchmarks.search.cells import CELLS, DEVELOPED_ON
from benchmarks.search.overall import figures, overall
from benchmarks.search.run import FILE, rows

Row = Mapping[str, Any]
_SAME = 0.005  # of the loss: what counts as the same


def main() -> None:
    """Prints the page, and writes it where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("runs/search"))
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    stored = rows(asked.folder / FILE)
    text = page(stored)
    print(text)
    if asked.write:
        write_bytes(asked.write, kept(asked.write, text).encode())
        for name, drawing in figures(stored).items():
            write_bytes(asked.write.parent / name, drawing.encode())


def page(stored: Sequence[Row]) -> str:
    """The whole page."""
    cells = [name for name in CELLS if any(row["cell"] == name for row in stored)]
    lines = [_HEAD.format(versions=", ".join(f"{n} {v}" for n, v in versions().items()))]
    lines += [*_summary(stored, cells), *overall(stored)]
    for name in cells:
        lines += _cell(name, [row for row in stored if row["cell"] == name])
    return "\n".join(lines) + "\n"


_HEAD = """# Searches compared at equal parameters

```
python -m benchmarks.search.run CELL … --seeds N
python -m benchmarks.search.page --write docs/results/search.md
```

{versions}.

How to read it: a cell is a task and a budget of adapter parameters, that of a uniform rank. FT
is one fine-tune of the task's length in example-passes, evaluations included; *spent* counts
all that an arm did, its learning rates and its last run too. Every arm was chosen on the
validation split and opened the test split once a seed. *Against uniform* is the paired
difference of test losses over the seeds that both have, with its 95 % interval (Student's t;
none for a single seed). Seeds of Tier 0 are languages of their own; those of real data share
their splits.
"""


def _summary(stored: Sequence[Row], cells: Sequence[str]) -> list[str]:
    """For each arm how many cells it wins, ties and loses against uniform ranks."""
    lines = ["## Against the best uniform rank", ""]
    lines.append("| arm | cells | better | within 0.5 % | worse | failed runs |")
    lines.append("|---|---:|---:|---:|---:|---:|")
    for arm in ARMS:
        if arm == "uniform":
            continue
        outcomes = [_outcome(stored, cell, arm) for cell in cells]
        known = [outcome for outcome in outcomes if outcome is not None]
        failed = sum(row["arm"] == arm and "error" in row for row in stored)
        if known or failed:
            counts = [known.count(word) for word in ("better", "same", "worse")]
            lines.append(f"| {arm} | {len(known)} | {' | '.join(map(str, counts))} | {failed} |")
    return [*lines, ""]


def _outcome(stored: Sequence[Row], cell: str, arm: str) -> str | None:
    pairs = _pairs([row for row in stored if row["cell"] == cell], arm)
    if not pairs:
        return None
    mine, uniform = (statistics.fmean(each) for each in zip(*pairs, strict=True))
    change = mine / uniform - 1
    return "same" if abs(change) <= _SAME else ("better" if change < 0 else "worse")


def _pairs(rows_of_cell: Sequence[Row], arm: str) -> list[tuple[float, float]]:
    """Test losses of an arm and of uniform ranks at the same seeds."""
    losses = {
        (row["arm"], row["seed"]): row["test"]["loss"] for row in rows_of_cell if "test" in row
    }
    seeds = sorted(seed for name, seed in losses if name == arm and ("uniform", seed) in losses)
    return [(losses[arm, seed], losses["uniform", seed]) for seed in seeds]


def _cell(name: str, found: Sequence[Row]) -> list[str]:
    about = "used while the algorithm was made" if name in DEVELOPED_ON else "settings were frozen"
    others = sorted({m for row in found for m in row.get("test", {})} - {"loss"})
    shown = next((m for m in ("accuracy", "matthews_corrcoef") if m in others), None)
    lines = [f"## {name}", "", f"{about}.", ""]
    titles = [
        "arm",
        "seeds",
        "parameters",
        "spent (FT)",
        "valid loss",
        "test loss",
        "against uniform",
    ]
    titles += [f"test {shown}"] if shown else []
    lines += ["| " + " | ".join(titles) + " |", "|---|" + "---:|" * (len(titles) - 1)]
    means = {arm: _mean(found, arm) for arm in ARMS if any(row["arm"] == arm for row in found)}
    for arm in sorted(means, key=lambda arm: means[arm]):
        lines.append(_line(arm, [row for row in found if row["arm"] == arm], found, shown))
    return [*lines, ""]


def _mean(found: Sequence[Row], arm: str) -> float:
    tests = [row["test"]["loss"] for row in found if row["arm"] == arm and "test" in row]
    return statistics.fmean(tests) if tests else math.inf


def _line(arm: str, mine: Sequence[Row], found: Sequence[Row], shown: str | None) -> str:
    good = [row for row in mine if "test" in row]
    if not good:
        return f"| {arm} | 0 of {len(mine)} | | | | failed | |" + (" |" if shown else "")
    values = [
        f"{len(good)}" if len(good) == len(mine) else f"{len(good)} of {len(mine)}",
        f"{statistics.fmean(row['parameters'] for row in good):,.0f}",
        f"{statistics.fmean(row['ft'] for row in good):.2f}",
        f"{statistics.fmean(row['valid'] for row in good):.4f}",
        f"{statistics.fmean(row['test']['loss'] for row in good):.4f}",
        _difference(_pairs(found, arm)) if arm != "uniform" else "",
    ]
    if shown:
        values.append(f"{statistics.fmean(row['test'][shown] for row in good):.3f}")
    return f"| {arm} | {' | '.join(values)} |"


def _difference(pairs: Sequence[tuple[float, float]]) -> str:
    if not pairs:
        return ""
    differences = [mine - uniform for mine, uniform in pairs]
    half = student_half_width(differences)
    mean = statistics.fmean(differences)
    return f"{mean:+.4f}" + (f" ± {half:.4f}" if len(differences) > 1 else "")


if __name__ == "__main__":
    main()
