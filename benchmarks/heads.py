"""Does a new head that starts from the linear probe pay? `head_start: probe` against `random`.

    python -m benchmarks.heads --write docs/results/heads.md [STUDY …]

For each study, the head alone and the uniform allocation within its budget are trained from both
starts: at seed 0 with three learning rates of the study's range, and with the one of the lowest
validation loss from further seeds. The test split is opened once for each arm, start and seed. What
is measured stands in `runs/heads/`, so a command that was stopped goes on where it was; what people
wrote into the page under "What was seen" is kept.
"""

import argparse
import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, Literal

import torch

from autolora.artifacts.adapter import Adapter
from autolora.artifacts.files import write_bytes
from autolora.lora.allocation import Allocation
from autolora.spending.opening import HEAD_ONLY, largest_uniform_rank
from autolora.spending.rates import learning_rates
from autolora.study.description import read_study
from autolora.study.session import Session
from autolora.training.evaluate import answered, values
from autolora.training.fit import Run, train
from autolora.training.meter import Meter
from autolora.training.shared import Shared
from benchmarks.heads_page import page

STUDIES = ("digits", "spoken-digits", "wordnet", "tuxpaint", "cola")  # the cheap ones first
RATES = 3
Start = Literal["random", "probe"]
STARTS: tuple[Start, ...] = ("random", "probe")


@dataclass(frozen=True)
class Key:
    """What tells a run from the others of its study."""

    arm: str
    start: Start
    learning_rate: float
    seed: int

    @property
    def file(self) -> str:
        """The name of its adapter's file."""
        arm = self.arm.replace(" ", "-")
        return f"{arm}-{self.start}-{self.learning_rate:.6f}-{self.seed}.adapter"


@dataclass
class Measurement:
    """One study: what is trained for it, and what is stored already."""

    name: str
    folder: Path
    shared: Shared = field(default_factory=Shared)

    @cached_property
    def session(self) -> Session:
        return Session(read_study(self.name))

    @cached_property
    def arms(self) -> dict[str, Allocation]:
        space, budget = self.session.space, self.session.budget_parameters
        assert budget is not None, f"{self.name} has a budget of parameters"
        rank = largest_uniform_rank(space, budget)
        return {f"uniform {rank}": space.uniform(rank), HEAD_ONLY: Allocation()}

    @property
    def rates(self) -> tuple[float, ...]:
        return learning_rates(self.session.space, RATES)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What is stored."""
        where = self.folder / "rows.jsonl"
        return (
            [json.loads(line) for line in where.read_text().splitlines()] if where.exists() else []
        )

    def run(self, seeds: int) -> None:
        """Measures what is not stored yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._probe()
        for arm in self.arms:
            for start, rate in product(STARTS, self.rates):
                self._train(Key(arm, start, rate, 0))
            for seed, start in product(range(seeds), STARTS):
                key = Key(arm, start, self._chosen(arm, start), seed)
                self._train(key)
                self._test(key)

    def below(self) -> None:
        """Trains the uniform arm at seed 0 with rates below the range; they are not tested."""
        arm, (low, *_, high) = next(iter(self.arms)), self.rates
        step = (high / low) ** (1 / (RATES - 1))
        for i, start in product((1, 2), STARTS):
            self._train(Key(arm, start, low / step**i, 0))

    def _chosen(self, arm: str, start: Start) -> float:
        """The rate of the lowest validation loss at seed 0."""
        wanted = [asdict(Key(arm, start, rate, 0)) for rate in self.rates]
        tried = [row for row in self.rows if row["what"] == "train" and row["key"] in wanted]
        best = min(tried, key=lambda row: row["valid"]["loss"])
        return float(best["key"]["learning_rate"])

    def _has(self, what: str, key: Key) -> bool:
        return any(row["what"] == what and row["key"] == asdict(key) for row in self.rows)

    def _probe(self) -> None:
        """The probe and its cost; it is the same in every process, and counted once."""
        task = self.session.task
        settings = self.session.spec.training
        meter, model = Meter(torch.device("cpu")), task.model()
        self.shared.start_head(task, model, settings, meter)
        cost = meter.ledger()
        if not any(row["what"] == "probe" for row in self.rows):
            found = {
                split: values(task.metrics, answered(model, task, split, final=True))
                for split in ("valid", "test")
            }
            self._store(
                {
                    "what": "probe",
                    "key": {},
                    "example_passes": cost.example_passes,
                    "seconds": cost.seconds,
                    **found,
                }
            )

    def _train(self, key: Key) -> None:
        if self._has("train", key):
            return
        spec, task = self.session.spec, self.session.task
        settings = spec.training.model_copy(update={"head_start": key.start})
        proposal = self.session.space.fixed(self.arms[key.arm], key.learning_rate)
        fitted = train(Run(task, proposal, settings, key.seed), self.shared)
        write_bytes(self.folder / key.file, fitted.adapter.to_bytes())
        self._store(
            {
                "what": "train",
                "key": asdict(key),
                "valid": dict(fitted.metrics),
                "curve": [point.valid_loss for point in fitted.curve],
                "parameters": self.arms[key.arm].parameters(self.session.space.targets),
                "example_passes": fitted.ledger.example_passes,
                "seconds": fitted.ledger.seconds,
            }
        )

    def _test(self, key: Key) -> None:
        if self._has("test", key):
            return
        model, task = self.session.task.model(), self.session.task
        Adapter.from_bytes((self.folder / key.file).read_bytes()).attach_to(model)
        found = values(task.metrics, answered(model, task, "test", final=True))
        self._store({"what": "test", "key": asdict(key), "test": found})

    def _store(self, row: dict[str, Any]) -> None:
        print(self.name, {k: v for k, v in row.items() if k != "curve"}, flush=True)
        with (self.folder / "rows.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", nargs="*", default=STUDIES)
    parser.add_argument("--folder", type=Path, default=Path("runs/heads"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--below", action="store_true", help="Also at rates below the range.")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--no-run", action="store_true", help="Only write what is stored.")
    asked = parser.parse_args()
    for name in asked.studies:
        if not asked.no_run:
            measurement = Measurement(name, asked.folder / name)
            measurement.run(asked.seeds)
            if asked.below:
                measurement.below()
    rows = {name: Measurement(name, asked.folder / name).rows for name in STUDIES}
    written = page(rows, asked.write.read_text() if asked.write and asked.write.exists() else "")
    print(written)
    if asked.write:
        write_bytes(asked.write, written.encode())


if __name__ == "__main__":
    main()
