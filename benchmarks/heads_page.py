"""The page of `benchmarks.heads`, written from its rows."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from autolora.plots.table import student_half_width
from autolora.study.versions import versions

Rows = Sequence[Mapping[str, Any]]

_SEEN = "\n## What was seen\n\n"

_INTRODUCTION = """
Does it pay to start a new head from the linear probe (`training.head_start: probe`) instead of from
random numbers? The probe is the head alone, fitted to features of the frozen base.

How to read it: every run trains the head. Of each arm and start, three learning rates of the range
of the study were tried at seed 0; the one of the lowest validation loss (*rate*) was trained with
further seeds, too. Losses and accuracies are means over the seeds. The test split was opened once
for each arm, start and seed, and once for *the probe itself*: its head on the frozen base, not
trained on. *Passes* are the example-passes of one run (forward 1, backward 1), of those from the
probe with the whole cost of the probe, although a process pays it only once for all of its trials.
The gradients of the fit itself go through the head alone and are not counted. *Difference* is probe
minus random, paired by seed, so that less is better for losses; its 95 % interval is Student's t
over the seeds.

The rule for a study, fixed before the first run: `probe` is written into it where the uniform
allocation then has a lower test loss at every seed and no higher validation loss on average.
"""


def page(studies: Mapping[str, Rows], before: str = "") -> str:
    """Markdown of all studies that have rows from the test split.

    What the page says under "What was seen" as it is (`before`) is written by people, and kept.
    """
    lines = [*_head(), *(line for name, rows in studies.items() for line in _section(name, rows))]
    _, mark, seen = before.partition(_SEEN)
    return "\n".join(lines) + (mark + seen or f"{_SEEN}Nothing is written yet.\n")


def _head() -> Iterable[str]:
    yield "# Where a new head starts\n"
    yield "```\npython -m benchmarks.heads --write docs/results/heads.md\n```\n"
    yield ", ".join(f"{name} {version}" for name, version in versions().items()) + "."
    yield _INTRODUCTION


@dataclass(frozen=True)
class _Arm:
    """The runs of an arm from one start, at the rate that was chosen: those that were tested."""

    name: str
    start: str
    rows: Rows

    @cached_property
    def tests(self) -> dict[int, Mapping[str, float]]:
        """By seed."""
        return {row["key"]["seed"]: row["test"] for row in self._of("test")}

    @cached_property
    def valid(self) -> dict[int, Mapping[str, float]]:
        """By seed."""
        return {row["key"]["seed"]: row["valid"] for row in self._chosen}

    @property
    def rate(self) -> float:
        return float(self._of("test")[0]["key"]["learning_rate"])

    @property
    def tried(self) -> dict[float, float]:
        """Validation loss at seed 0, by rate."""
        runs = [row for row in self._of("train") if row["key"]["seed"] == 0]
        return {row["key"]["learning_rate"]: row["valid"]["loss"] for row in runs}

    @property
    def example_passes(self) -> int:
        return int(self._chosen[0]["example_passes"])

    @property
    def parameters(self) -> int:
        return int(self._chosen[0]["parameters"])

    @property
    def seconds(self) -> float:
        return statistics.median(float(row["seconds"]) for row in self._of("train"))

    @property
    def _chosen(self) -> Rows:
        runs = [row for row in self._of("train") if row["key"]["learning_rate"] == self.rate]
        return [row for row in runs if row["key"]["seed"] in self.tests]

    def _of(self, what: str) -> Rows:
        wanted = {"arm": self.name, "start": self.start}.items()
        return [row for row in self.rows if row["what"] == what and wanted <= row["key"].items()]


def _section(name: str, rows: Rows) -> Iterable[str]:
    names = list(dict.fromkeys(row["key"]["arm"] for row in rows if row["what"] == "test"))
    pairs = [(_Arm(arm, "random", rows), _Arm(arm, "probe", rows)) for arm in names]
    pairs.sort(key=lambda pair: pair[0].name)  # "head only" before "uniform 2"
    pairs = [pair for pair in pairs if pair[0].tests and pair[1].tests]
    if not pairs:
        return
    probe = next(row for row in rows if row["what"] == "probe")
    yield f"## {name}\n"
    yield from _table(pairs, probe)
    yield "\nValidation loss at seed 0, by learning rate:\n"
    yield from _by_rate([arm for pair in pairs for arm in pair])
    yield ""
    for pair in pairs:
        yield _difference(*pair)
    yield f"\n{_verdict(*pairs[-1])} {_cost(pairs[-1], probe)}\n"


def _table(pairs: Sequence[tuple[_Arm, _Arm]], probe: Mapping[str, Any]) -> Iterable[str]:
    yield (
        "| arm | head starts | parameters | rate | seeds | valid loss | test loss "
        "| valid accuracy | test accuracy | passes |"
    )
    yield "|---|---|" + "---:|" * 8
    ends = [probe[split][m] for m in ("loss", "accuracy") for split in ("valid", "test")]
    cells = " | ".join(f"{value:.4f}" for value in ends)
    yield f"| the probe itself | | 0 | – | – | {cells} | {probe['example_passes']:,} |"
    for pair in pairs:
        for arm in pair:
            extra = probe["example_passes"] if arm.start == "probe" else 0
            yield _line(arm, arm.example_passes + extra)


def _line(arm: _Arm, example_passes: int) -> str:
    cells = " | ".join(
        f"{statistics.fmean(found[metric] for found in split.values()):.4f}"
        for metric in ("loss", "accuracy")
        for split in (arm.valid, arm.tests)
    )
    return (
        f"| {arm.name} | {arm.start} | {arm.parameters:,} | {arm.rate:.2g} | {len(arm.tests)} "
        f"| {cells} | {example_passes:,} |"
    )


def _by_rate(arms: Sequence[_Arm]) -> Iterable[str]:
    rates = sorted({rate for arm in arms for rate in arm.tried})
    yield f"| arm | head starts | {' | '.join(f'{rate:.2g}' for rate in rates)} |"
    yield "|---|---|" + "---:|" * len(rates)
    for arm in arms:
        cells = (f"{arm.tried[rate]:.4f}" if rate in arm.tried else "–" for rate in rates)
        yield f"| {arm.name} | {arm.start} | {' | '.join(cells)} |"


def _difference(random: _Arm, probe: _Arm) -> str:
    parts = ", ".join(
        f"{split} {metric} {_interval(_paired(random, probe, split, metric))}"
        for metric in ("loss", "accuracy")
        for split in ("valid", "test")
    )
    return f"- Difference for {random.name}: {parts}."


def _paired(random: _Arm, probe: _Arm, split: str, metric: str) -> list[float]:
    """Probe minus random, at each seed that both have."""
    a, b = (arm.valid if split == "valid" else arm.tests for arm in (random, probe))
    return [b[seed][metric] - a[seed][metric] for seed in sorted(a.keys() & b.keys())]


def _interval(values: list[float]) -> str:
    mean = statistics.fmean(values)
    if len(values) < 2:
        return f"{mean:+.4f} (one seed)"
    half = student_half_width(values)
    return f"{mean:+.4f} ({mean - half:+.4f} to {mean + half:+.4f})"


def _verdict(random: _Arm, probe: _Arm) -> str:
    tests = _paired(random, probe, "test", "loss")
    valid = statistics.fmean(_paired(random, probe, "valid", "loss"))
    lower = sum(value < 0 for value in tests)
    pays = lower == len(tests) and valid <= 0
    return (
        f"The probe {'pays' if pays else 'does not pay'} by the rule: with {random.name}, the test "
        f"loss is lower at {lower} of {len(tests)} seeds, and the validation loss "
        f"{'no higher' if valid <= 0 else 'higher'} on average."
    )


def _cost(pair: tuple[_Arm, _Arm], probe: Mapping[str, Any]) -> str:
    random, _ = pair
    share = probe["example_passes"] / random.example_passes
    times = probe["seconds"] / random.seconds
    return (
        f"It costs {100 * share:.0f} % of the passes of one run with {random.name}, and took "
        f"{times:.2f} of its time on a machine that did other work, too."
    )
