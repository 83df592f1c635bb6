"""What a strategy that does its own work decided on its way, in a few facts."""

from collections.abc import Iterator, Mapping
from typing import Any

from autolora.nested.gate import TRUSTED
from autolora.plots.look import number
from autolora.plots.measure import SEARCH
from autolora.study.results import Results, WorkRow

Fact = tuple[str, str]


def searched(results: Results) -> list[Fact]:
    """The decisions of the search at the study's own seed; empty where there are none to tell."""
    work = next((work for work in results.works if work.arm == SEARCH), None)
    return list(_facts(work)) if work else []


def _facts(work: WorkRow) -> Iterator[Fact]:
    about = work.about
    if about.get("strategy"):
        yield "strategy", str(about["strategy"])
    if about.get("fine_tune") and about.get("allowance"):
        spent = sum(stage.example_passes for stage in work.ledger) / about["fine_tune"]
        yield "spent", f"{spent:.2f} of {about['allowance'] / about['fine_tune']:.2f} FT"
    if about.get("high_rate"):
        tried = f", of {len(about['probed'])} tried" if about.get("probed") else ""
        yield "learning rate at the high rank", number(about["high_rate"]) + tried
    if about.get("peak_parameters"):
        loss = about.get("high_loss")
        at = "" if loss is None else f", loss {loss:.4f}"
        yield "adapter of the high rank", f"{about['peak_parameters']:,} parameters{at}"
    if "tau" in about:
        yield from _scores(about)
    if about.get("evaluated"):
        yield "compared without training", f"{about['evaluated']:,} allocations"
    if about.get("chosen"):
        yield "trained to the end", str(about["chosen"])


def _scores(about: Mapping[str, Any]) -> Iterator[Fact]:
    """Kendall's tau of each score over random allocations, and what came of it."""
    taus, trusted = about["tau"], about.get("trusted")
    if taus:
        yield "τ of scores", ", ".join(f"{name} {tau:.2f}" for name, tau in taus.items())
    else:
        yield "τ of scores", "not measured: no budget for it"
    if trusted:
        yield "score that is trusted", str(trusted)
    elif taus:
        yield "score that is trusted", f"none reached {TRUSTED:g}"
