"""Where a study may say that its trials run, and what is there without Ray."""

import subprocess
import sys
from pathlib import Path

import pytest
from adding import description
from counting import Counting

from autolora.backends import Place, ray_tune
from autolora.errors import BadValue, MissingExtra
from autolora.study.description import described


def test_only_a_backend_that_places_trials_is_told_where() -> None:
    with pytest.raises(BadValue, match="process places no single trials: leave out cpus and addr"):
        described(description(name="process", cpus=2, address="auto"))
    placed = described(description(name="ray_tune", cpus=0.5, gpus=0.25, address="auto"))
    assert placed.backend.gpus == 0.25


def test_where_a_study_runs_may_change() -> None:
    here, there = description(name="inline"), description(name="ray_tune", gpus=1)
    assert described(here).digest() == described(there).digest()


def test_reading_a_study_imports_no_ray() -> None:
    code = (
        "import sys, autolora, autolora.study.study\n"
        "from autolora.study.description import Backend\n"
        "Backend(name='ray_tune')\n"
        "assert 'ray' not in sys.modules, 'Ray was imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [n for n in sys.modules if n.partition(".")[0] == "ray"]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("tuning", "course", "cluster", "actor"):
        monkeypatch.delitem(sys.modules, f"{ray_tune.__name__}.{name}", raising=False)
        monkeypatch.delattr(ray_tune, name, raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"pip install 'autolora\[ray\]'"):
        ray_tune.schedule(Counting("say"), {}, print, Place(1, folder=tmp_path))
