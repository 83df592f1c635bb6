"""Studies as they look after a search over MobileNetV2, made without training anything."""

import math
import random
from dataclasses import replace

import pytest
import torchvision

from autolora.lora.allocation import Allocation
from autolora.lora.targets import Target, targets
from autolora.spending.stage import Stage
from autolora.study.results import FinalRow, Results, TrialRow, WorkRow
from autolora.training.curve import CurvePoint

STEPS, EVALUATIONS = 160, 8


@pytest.fixture(scope="session")
def matrices() -> tuple[Target, ...]:
    return targets(torchvision.models.mobilenet_v2(weights=None))


@pytest.fixture(scope="session")
def results(matrices: tuple[Target, ...]) -> Results:
    """36 trials: 12 baselines, then a search in which a quarter is stopped and two fail."""
    return made(matrices)


@pytest.fixture(scope="session")
def empty(results: Results) -> Results:
    return replace(results, trials=(), finals=(), importance={}, best=None)


@pytest.fixture(scope="session")
def single(results: Results) -> Results:
    one = next(t for t in results.trials if t.arm == "search" and t.state == "complete")
    return replace(results, trials=(one,), finals=(), importance={}, best=one.number)


@pytest.fixture(scope="session")
def failed(results: Results) -> Results:
    rows = tuple(failure(t) for t in results.trials[:5])
    return replace(results, trials=rows, finals=(), importance={}, best=None)


@pytest.fixture(scope="session")
def worked(results: Results, matrices: tuple[Target, ...]) -> Results:
    """The same study after a search that is one trial with many stages, and one beside it."""
    baseline = [t for t in results.trials if t.arm != "search"]
    chosen = next(t for t in results.trials if t.number == results.best)
    unit = baseline[0].example_passes
    search, beside = (
        replace(
            chosen,
            number=number,
            arm=arm,
            configuration={"learning_rate": 2e-3, "strategy": {"name": name, "warm": False}},
            example_passes=passes,
            reused_from=None,
        )
        for number, arm, name, passes in ((0, "search", "nest", 2 * unit), (1, "eva", "eva", unit))
    )
    trials = (search, beside, *(replace(t, number=t.number + 2) for t in baseline))
    finals = tuple(
        replace(f, trial=0 if f.arm == "search" else f.trial + 2) for f in results.finals
    )
    works = [work(matrices, chosen.allocation, seed, unit) for seed in range(3)]
    works.insert(0, WorkRow("eva", 0, (Stage("adaptation", unit, 20.0),), {"strategy": "eva"}))
    return replace(results, trials=trials, finals=finals, importance={}, best=0, works=tuple(works))


def work(matrices, chosen, seed: int, unit: int) -> WorkRow:
    """A work of nest: a race of allocations of which three took a stretch."""
    dice = random.Random(seed)
    ranks = {
        "uniform": dict(Allocation.uniform(matrices, 2)),
        "gates, trust 0.75": dict(chosen),
        "energy, trust 1": {name: rank + 1 for name, rank in chosen.items()},
        **{f"all but kind {i}": {matrices[i].name: i} for i in range(1, 20)},
    }
    candidates = [
        {"name": name, "ranks": each, "loss": 0.5 + 0.01 * i, "examples": 64 if i < 9 else 32}
        for i, (name, each) in enumerate(ranks.items())
    ]
    stages = {"learning-rate probe": 0.1, "high rank, plain": 0.9, "choosing allocations": 0.24}
    stages |= {"stretches": 0.16, "final run": 0.6}
    about = {
        "strategy": "nest",
        "fine_tune": unit,
        "allowance": 2 * unit,
        "account": [{"name": "high rank, plain", "example_passes": unit}],
        "probed": {"0.001": 1.2, "0.004": 1.1},
        "high_rate": 0.0036,
        "high_loss": 0.3,
        "peak_parameters": 250_000,
        "chosen": "gates, trust 0.75, rate 0.3",
        "stretches": {
            "uniform, rate 0.3": 0.41,
            "gates, trust 0.75, rate 0.3": 0.38,
            "gates, trust 0.75, rate 1": 0.43,
            "all but kind 19, rate 0.3": 0.44,
        },
        "candidates": candidates,
        "tau": {"gates": 0.58, "energy": 0.31},
        "trusted": "gates",
        "scored": "gates",
        "scores": {t.name: sorted(dice.random() for _ in range(8))[::-1] for t in matrices},
        "evaluated": 40,
    }
    ledger = tuple(Stage(name, int(unit * share), 10 * share) for name, share in stages.items())
    return WorkRow("search", seed, ledger, about)


def made(matrices: tuple[Target, ...], seed: int = 0) -> Results:
    dice = random.Random(seed)
    groups = grouped(matrices)
    trials = [*baselines(matrices, dice), *searched(matrices, groups, dice)]
    best = min(
        (t for t in trials if t.arm == "search" and t.state == "complete"),
        key=lambda t: t.loss,
    )
    return Results(
        name="digits",
        description=DESCRIPTION,
        targets=matrices,
        objective=("loss",),
        directions=("minimize",),
        budget_parameters=Allocation.uniform(matrices, 2).parameters(matrices),
        head_parameters=12_810,
        trials=tuple(trials),
        finals=tuple(confirmed(trials, best, dice)),
        importance={f"rank.{name}": dice.expovariate(4) for name in groups}
        | {"learning_rate": 0.9},
        groups={name: tuple(t.name for t in group) for name, group in groups.items()},
        best=best.number,
        versions={"autolora": "0.1.0", "torch": "2.14.1", "optuna": "5.0.0", "python": "3.11.7"},
    )


def grouped(matrices: tuple[Target, ...]) -> dict[str, list[Target]]:
    groups: dict[str, list[Target]] = {}
    for target in matrices[:-1]:
        third = "early" if target.depth < 6 else "middle" if target.depth < 13 else "late"
        groups.setdefault(f"{third} {target.kind}", []).append(target)
    return groups


def baselines(matrices, dice):
    arms = {"head only": 0, "uniform 1": 1, "uniform 2": 2, "uniform 4": 4}
    number = 0
    for arm, rank in arms.items():
        for rate in (6e-4, 2e-3, 6e-3):
            allocation = dict(Allocation.uniform(matrices, rank))
            yield trial(number, arm, allocation, rate, matrices, dice)
            number += 1


def searched(matrices, groups, dice):
    for number in range(12, 36):
        ranks = {name: dice.choice((0, 1, 2, 4, 8)) for name in groups}
        allocation = {t.name: min(ranks[name], t.max_rank) for name, g in groups.items() for t in g}
        allocation = kept(allocation, matrices)
        rate = math.exp(dice.uniform(math.log(3e-4), math.log(1e-2)))
        row = trial(number, "search", allocation, rate, matrices, dice)
        if number in (17, 29):
            row = failure(row)
        elif row.loss > 0.33 or number % 7 == 0:
            row = stopped(row)
        elif number == 31:
            row = replace(row, reused_from=25, example_passes=0, seconds=0.0, curve=())
        yield row


def kept(allocation, matrices):
    """Lowers the highest ranks until the allocation is as large as uniform rank 2 at most."""
    budget = Allocation.uniform(matrices, 2).parameters(matrices)
    while Allocation(allocation).parameters(matrices) > budget:
        highest = max(allocation.values())
        allocation = {n: highest // 2 if r == highest else r for n, r in allocation.items()}
    return {name: rank for name, rank in allocation.items() if rank}


def trial(number, arm, allocation, rate, matrices, dice) -> TrialRow:
    size = Allocation(allocation).parameters(matrices)
    late = sum(r for n, r in allocation.items() if n.startswith("features.1")) / (
        1 + sum(allocation.values())
    )
    loss = 0.55 / (1 + size / 9e3) ** 0.45 - 0.13 * late + 0.08 * abs(math.log10(rate / 2e-3))
    loss = max(0.05, loss + dice.gauss(0, 0.015))
    curve = tuple(
        CurvePoint(
            step=STEPS * i // EVALUATIONS,
            train_loss=loss * 0.9 + 2.0 * math.exp(-0.8 * i),
            valid_loss=loss + 1.9 * math.exp(-0.8 * i) * dice.uniform(0.9, 1.1),
            learning_rate=rate * math.cos(0.5 * math.pi * i / (EVALUATIONS + 1)),
        )
        for i in range(1, EVALUATIONS + 1)
    )
    return TrialRow(
        number=number,
        arm=arm,
        state="complete",
        allocation=allocation,
        configuration={"learning_rate": rate},
        parameters=size,
        loss=loss,
        metrics={"loss": loss, "accuracy": 1 - loss / 3},
        curve=curve,
        example_passes=2 * STEPS * 32 + EVALUATIONS * 1000,
        seconds=21.0 + dice.uniform(-2, 6),
        peak_bytes=710_000_000 + number * 1_000_000,
        started=1_764_000_000.0 + 30 * number,
        reason=None,
        reused_from=None,
    )


def stopped(row: TrialRow) -> TrialRow:
    return replace(
        row,
        state="pruned",
        curve=row.curve[:3],
        loss=row.curve[2].valid_loss,
        metrics={},
        example_passes=row.example_passes * 3 // 8,
        seconds=row.seconds * 3 / 8,
    )


def failure(row: TrialRow) -> TrialRow:
    reason = "the loss became nan at step 41; lower the learning rate"
    return replace(
        row,
        state="failed",
        loss=None,
        metrics={},
        curve=(),
        example_passes=1000,
        seconds=1.5,
        reason=reason,
    )


def confirmed(trials, best, dice):
    """Three paired seeds an arm: a shared part by seed, and little noise of its own."""
    arms = dict.fromkeys(t.arm for t in trials)
    shift = {seed: dice.gauss(0, 0.012) for seed in range(3)}
    for arm in arms:
        row = min(
            (t for t in trials if t.arm == arm and t.loss and t.metrics), key=lambda t: t.loss
        )
        row = best if arm == "search" else row
        for seed in range(3):
            loss = row.loss + 0.01 + shift[seed] + dice.gauss(0, 0.004)
            yield final(row, seed, "loss", loss, 0.022)
            yield final(row, seed, "accuracy", 1 - loss / 3, 0.008)


def final(row: TrialRow, seed: int, metric: str, value: float, half: float) -> FinalRow:
    return FinalRow(
        row.arm, row.number, seed, row.parameters, metric, value, value - half, value + half
    )


DESCRIPTION = {
    "schema_version": 1,
    "name": "digits",
    "task": {
        "type": "image",
        "model": "mobilenet_v2",
        "data": {
            "path": "digits",
            "splits": {"train": 1000, "valid": 1000, "test": 2000, "seed": 0},
        },
        "image_size": 48,
    },
    "space": "cnn",
    "training": {"steps": STEPS, "batch_size": 32, "evaluations": EVALUATIONS},
    "objective": {"metric": "loss", "direction": "minimize"},
    "sampler": {"name": "tpe"},
    "pruner": {"name": "median"},
    "budget": {"trials": 24, "parameters": None, "uniform_rank": 2},
    "seed": 0,
}
