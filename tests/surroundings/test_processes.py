"""Two processes: replicas and shards train as one process does on the joint batch."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import two_processes as work
from torch import Tensor, nn

from autolora.testing.stage import close, same

pytestmark = pytest.mark.slow

Findings = list[dict[str, Any]]


def on_two(job: str, folder: Path) -> Findings:
    """What a job of `two_processes.py` finds in each of two processes."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    started = [
        subprocess.Popen(
            [sys.executable, work.__file__, job, str(rank), str(folder)], env=environment
        )
        for rank in range(2)
    ]
    try:
        assert [process.wait(timeout=120) for process in started] == [0, 0]
    finally:
        for process in started:
            process.kill()
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


def alone(without: str = "none") -> tuple[nn.Module, list[float]]:
    """One process trained on all four samples, and its losses."""
    model, adapter = work.adapted(without)
    return model, work.train(model, adapter, slice(0, 4))


def trained_alike(found: Findings, model: nn.Module, losses: list[float]) -> None:
    """Losses average, factors follow, the base stays, and both processes hold the same."""
    means = [sum(pair) / 2 for pair in zip(*(f["losses"] for f in found), strict=True)]
    assert means == pytest.approx(losses, rel=1e-9)
    assert losses[-1] < losses[0]
    state, base = found[0]["state"], work.network().state_dict()
    same(list(found[1]["state"].values()), list(state.values()))
    same([state[name] for name in base], list(base.values()))
    close(list(state.values()), list(model.state_dict().values()))


def test_replicas(tmp_path: Path) -> None:
    trained_alike(on_two("replicated", tmp_path), *alone())


def test_shards(tmp_path: Path) -> None:
    """FSDP2: every parameter is split; the gathered checkpoint opens in a plain model."""
    found = on_two("sharded", tmp_path)
    model, losses = alone("recur")
    trained_alike(found, model, losses)
    assert all(f["sharded"] for f in found)
    for one in found:
        answers: list[Tensor] = one["answers"]
        close(answers, [model(work.TOKENS), work.network()(work.TOKENS), model(work.TOKENS)])
    twin, _ = work.adapted("recur")
    twin.load_state_dict(found[0]["state"])
    close([twin(work.TOKENS)], [model(work.TOKENS)])


def test_shards_of_recurrent_layers(tmp_path: Path) -> None:
    trained_alike(on_two("sharded_recurrent", tmp_path), *alone())


def test_shards_answer_without_the_adapter_first(tmp_path: Path) -> None:
    """Before FSDP2 has gathered anything, too, the base is told from the sum."""
    model, _ = work.adapted()
    for one in on_two("sharded_disabled", tmp_path):
        close(one["answers"], [work.network()(work.TOKENS), model(work.TOKENS)])


@pytest.mark.parametrize(
    ("job", "error"),
    [
        ("sharded_loaded", r"SplitBaseHidden: FSDP2 looks for .* within .*disabled"),
        ("sharded_before", "AttachedTooLate: .*FSDP"),
        ("sharded_and_run_before", "AttachedTooLate: .*FSDP"),
        ("replicated_before", "AttachedTooLate: .*DistributedDataParallel"),
    ],
)
def test_a_wrong_order_fails_loudly(job: str, error: str, tmp_path: Path) -> None:
    for one in on_two(job, tmp_path):
        assert re.match(error, one["error"]), one["error"]
