"""Every modality's study against the head alone, the best uniform ranks, and full fine-tuning.

    python -m benchmarks.modalities --write docs/results/modalities.md [STUDY …]

Each study is run as `autolora search STUDY` runs it (or gone on with, if it was stopped); then all
weights are trained, with the same steps and batches, at three learning rates on the first seed and
at the best of them on every seed. The page is written from what is stored, so a second call adds
to it.
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autolora.artifacts.files import write_bytes
from autolora.lora.allocation import Allocation
from autolora.plots.table import Row, table
from autolora.plots.verdict import equal_uniform, verdict
from autolora.space.proposal import Proposal
from autolora.study.description import StudySpec, read_study
from autolora.study.progress import listener
from autolora.study.results import Results
from autolora.study.session import Session
from autolora.study.study import Study
from autolora.study.versions import versions
from autolora.training.evaluate import answered, values
from autolora.training.fit import Run, train
from autolora.training.shared import Shared
from benchmarks.kept import kept

STUDIES = ("cola", "rte", "sst2", "wordnet", "fortunes", "digits", "tuxpaint", "spoken-digits",
           "spanish")  # fmt: skip
RATES = (1e-4, 3e-4, 1e-3)  # of all weights, at equal steps
FULL = "full fine-tuning"


@dataclass(frozen=True)
class Line:
    """An arm of a study: parameters beside the head, valid and test values of some metric."""

    arm: str
    parameters: int
    valid: float
    tests: tuple[float, ...]
    low: float
    high: float
    example_passes: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", nargs="*", default=STUDIES)
    parser.add_argument("--folder", type=Path, default=Path("runs/modalities"))
    parser.add_argument("--write", type=Path)
    parser.add_argument("--no-run", action="store_true", help="Only write what is stored.")
    asked = parser.parse_args()
    for name in asked.studies:
        if not asked.no_run:
            _run(name, asked.folder / name)
    page = "\n".join(_page(asked.folder))
    print(page)
    if asked.write:
        write_bytes(asked.write, kept(asked.write, page).encode())


def _run(name: str, folder: Path) -> None:
    began = time.monotonic()
    study = Study.create(read_study(name), folder=folder)
    with listener() as listen:
        study.run(listen)
    full = folder / "full.json"
    if not full.is_file():
        write_bytes(full, json.dumps(_full(study.spec)).encode())
    took = folder / "seconds.json"
    before = json.loads(took.read_text()) if took.is_file() else 0
    write_bytes(took, json.dumps(before + time.monotonic() - began).encode())


def _full(spec: StudySpec) -> dict[str, Any]:
    """All weights of the model trained as one head, without an adapter."""
    task = Session(spec).task
    whole = replace(task, head=tuple(name for name, _ in task.model().named_children()))
    first = {rate: _trained(whole, spec, rate, spec.seed) for rate in RATES}
    best = min(first, key=lambda rate: first[rate]["loss"])
    seeds = range(spec.seed, spec.seed + spec.confirm.seeds)
    runs = [first[best], *(_trained(whole, spec, best, seed) for seed in seeds[1:])]
    tried = sum(run["example_passes"] for run in first.values())
    return {"learning_rate": best, "runs": runs, "tried": tried}


def _trained(task: Any, spec: StudySpec, rate: float, seed: int) -> dict[str, Any]:
    settings = spec.training.model_copy(update={"head_start": "random", "cache_bytes": 0})
    fitted = train(Run(task, Proposal(Allocation(), rate), settings, seed), Shared())
    model = task.model()
    fitted.adapter.attach_to(model)
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "loss": fitted.loss,
        "valid": dict(fitted.metrics),
        "test": values(task.metrics, answered(model, task, "test", final=True)),
        "example_passes": fitted.ledger.example_passes,
    }


def _page(folder: Path) -> Iterable[str]:
    yield "# Text, images and speech\n"
    yield "```\npython -m benchmarks.modalities --write docs/results/modalities.md\n```\n"
    yield ", ".join(f"{name} {version}" for name, version in versions().items()) + ".\n"
    yield from _HOW_TO_READ
    for name in STUDIES:
        if (folder / name / "full.json").is_file():
            yield from _section(name, folder / name)


_HOW_TO_READ = (
    "How to read it: every arm trains the new head; *parameters* are those beside the head. The\n"
    "learning rate of every arm was chosen on the validation split; *test* is the mean over\n"
    "paired seeds, and its interval the 95 % bootstrap interval of the first seed over test\n"
    "examples. *Passes* are the example-passes of the one run (forward 1, backward 1), and of a\n"
    "search those of all its trials. Models and data: `studies/`.\n",
)


def _section(name: str, folder: Path) -> Iterable[str]:
    study = Study.open(name, f"sqlite:///{folder / 'study.db'}")
    results = study.results()
    known = sorted({final.metric for final in results.finals}, key=lambda m: (m != "loss", m))
    shown = tuple(known[:2])
    seconds = json.loads((folder / "seconds.json").read_text())
    yield f"## {name}\n"
    yield f"{study.spec.task['type']}: {study.spec.task['model']}; {seconds / 60:.1f} min.\n"
    yield (
        "| arm | parameters | "
        + " | ".join(f"valid {m} | test {m} (95 %)" for m in shown)
        + (" | passes |")
    )
    yield "|---|---:|" + "---:|---:|" * len(shown) + "---:|"
    yield from _lines(results, shown)
    yield _full_line(json.loads((folder / "full.json").read_text()), shown)
    yield ""
    yield verdict(results).sentence + "\n"


def _lines(results: Results, shown: tuple[str, ...]) -> Iterable[str]:
    rows = table(results)
    found = next((row for row in rows if row.arm == "search"), None)
    uniform = equal_uniform(rows, found, results.budget_parameters)
    head = next((row for row in rows if row.arm == "head only"), None)
    for row in (head, uniform, found):
        if row is not None:
            yield _line(results, row, shown)


def _line(results: Results, row: Row, shown: tuple[str, ...]) -> str:
    trial = next(t for t in results.trials if t.number == row.trial)
    cells = []
    for metric in shown:
        finals = [f for f in results.finals if (f.arm, f.metric) == (row.arm, metric)]
        first = finals[0]
        mean = statistics.fmean(f.value for f in finals)
        valid = trial.metrics.get(metric)
        cells.append("–" if valid is None else f"{valid:.3f}")
        cells.append(f"{mean:.3f} ({first.low:.3f} to {first.high:.3f}), {len(finals)} seeds")
    passes = trial.example_passes
    if row.arm == "search":
        passes = sum(t.example_passes for t in results.trials if t.arm == "search")
    name = "found by the search" if row.arm == "search" else row.arm
    return f"| {name} | {row.parameters:,} | {' | '.join(cells)} | {passes:,} |"


def _full_line(full: dict[str, Any], shown: tuple[str, ...]) -> str:
    runs = full["runs"]
    cells = []
    for metric in shown:
        valid = runs[0]["valid"].get(metric)
        cells.append("–" if valid is None else f"{valid:.3f}")
        tests = [run["test"][metric] for run in runs]
        cells.append(f"{statistics.fmean(tests):.3f}, {len(tests)} seeds")
    name = f"{FULL} (lr {full['learning_rate']:.0e})"
    passes = runs[0]["example_passes"]
    return f"| {name} | {runs[0]['parameters']:,} | {' | '.join(cells)} | {passes:,} |"


if __name__ == "__main__":
    main()
