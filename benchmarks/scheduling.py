"""What placing a trial costs, beside its training: `python -m benchmarks.scheduling`.

The same study is run on each backend with a task that costs next to nothing, and the wall time
between the first and the last result is divided by the trials after the first. Starting processes,
Ray and actors is told apart: it is paid once. What a trial itself takes inline is told as well, as
it is part of every number. The last row is a job of Ray Tune's that does nothing: no study, no
database, no training.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autolora.backends import Place, ray_tune
from autolora.study.description import described
from autolora.study.study import Study

HERE = Path(__file__).parent
TASK = HERE.parent / "tests" / "backends"


@dataclass(frozen=True)
class Cost:
    """Seconds of a backend: until the first result, and for each one after it."""

    name: str
    first: float
    each: float
    trials: int

    def line(self) -> str:
        """The cost as a row of a table."""
        return f"| {self.name} | {self.trials} | {self.first:.1f} | {1000 * self.each:.0f} |"


def measure(name: str, trials: int, **backend: Any) -> Cost:
    """Runs a study of so many trials with one worker and looks at the clock."""
    from adding import description

    with tempfile.TemporaryDirectory() as folder:
        data = description(trials, name=name, workers=1, **backend)
        data |= {"baselines": {"uniform_ranks": [1], "learning_rates": 1}, "confirm": {"seeds": 1}}
        study = Study.create(described(data), folder=Path(folder), allow_code=True)
        began, ended = time.perf_counter(), list[float]()

        def hear(event: Mapping[str, Any]) -> None:
            if event["event"] == "trial":
                ended.append(time.perf_counter())

        study.run(hear)
    return Cost(name, ended[0] - began, (ended[-1] - ended[0]) / (len(ended) - 1), len(ended))


def nothing(jobs: int) -> Cost:
    """Runs jobs that do nothing."""
    from counting import Counting

    began, ended = time.perf_counter(), list[float]()

    def hear(event: Mapping[str, Any]) -> None:
        del event
        ended.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        place = Place(1, folder=Path(folder))
        ray_tune.schedule(Counting(*["say"] * jobs), {"text": ""}, hear, place)
    each = (ended[-1] - ended[0]) / (len(ended) - 1)
    return Cost("ray_tune, a job that does nothing", ended[0] - began, each, len(ended))


def main() -> None:
    """Measures every backend in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--backends", nargs="*", default=["inline", "process", "ray_tune"])
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(TASK), os.environ.get("PYTHONPATH", "")])
    sys.path.insert(0, str(TASK))
    print("| backend | trials | until the first result, s | each further one, ms |")
    print("|---|---|---|---|")
    costs = {}
    for name in asked.backends:
        costs[name] = measure(name, asked.trials)
        print(costs[name].line(), flush=True)
    if "ray_tune" in costs:
        print(nothing(asked.trials).line(), flush=True)
    if "inline" in costs:
        for name, cost in costs.items():
            over = cost.each - costs["inline"].each
            print(
                f"{name}: {1000 * over:+.0f} ms a trial beside inline, "
                f"{100 * over / 30:+.2f} % of a trial of 30 s"
            )


if __name__ == "__main__":
    main()
