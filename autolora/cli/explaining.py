"""The command that tells what a study found, and why: explain."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autolora.cli.app import Json, Storage, StudyName, command
from autolora.cli.output import record, show, table, text

if TYPE_CHECKING:
    from autolora.plots.verdict import Verdict
    from autolora.study.explain import Explanation
    from autolora.study.explain_parts import Part, Weighed

_OFFERS = 5  # single ranks that are shown; --json has all
_VALUES = 8  # singular values that are shown
_UNITS = {"energy": "squared singular values"}  # of scores; else the fall of the loss in nats


@command("autolora explain digits")
def explain(
    study: StudyName,
    arm: Annotated[
        str | None, typer.Option(help="The best adapter of this arm; the winner without it.")
    ] = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Tell what was found and why: shares, spectra, scores, cut ranks, what more would buy.

    It reads what the study stored; nothing is trained or evaluated.
    """
    from autolora.plots.verdict import verdict
    from autolora.study.explain import explain as explained
    from autolora.study.study import Study

    opened = Study.open(study, storage)
    results, best = opened.results(), opened.best if arm is None else opened.arm(arm)
    found, said = explained(results, best.trial, best.adapter), verdict(results)
    if as_json:
        show({"verdict": asdict(said), **_plain(found)}, as_json=True)
        return
    _print_facts(found, said)
    _print_parts(found)
    table([_target(row) for row in found.targets], title="Targets, from input to output")
    _print_scores(found)
    _print_front(found)
    _print_more(found)
    _print_costs(found)
    for what in found.missing:
        print(f"not known: {what}")


def _plain(found: "Explanation") -> dict[str, Any]:
    trial = {"number": found.trial.number, "arm": found.trial.arm, "loss": found.trial.loss}
    targets = [
        {
            **{n: v for n, v in asdict(row).items() if n != "target"},
            "target": row.target.name,
            "energy": row.energy,
            "kept": row.kept if row.gains else None,
            "cut": row.cut if row.gains else None,
        }
        for row in found.targets
    ]
    return {**asdict(found), "trial": trial, "targets": targets}


def _print_facts(found: "Explanation", said: "Verdict") -> None:
    trial = found.trial
    adapted = sum(row.rank > 0 for row in found.targets)
    facts = {
        "adapter": f"trial {trial.number}, {trial.arm}",
        "parameters": trial.parameters,
        "targets": f"{adapted} of {len(found.targets)}",
        "valid loss": trial.loss,
        "verdict": said.sentence,
    }
    record(facts | ({"validation": said.bias} if said.bias else {}))
    print()


def _print_parts(found: "Explanation") -> None:
    """Kinds, families and depths; a division that says what another said is left out."""
    shown: list[list[tuple[Any, ...]]] = []
    for name, parts in found.parts.items():
        numbers = [(part.targets, part.adapted, part.parameters, part.energy) for part in parts]
        if numbers not in shown:
            title = f"Where the adaptation is, by {name}: shares of the adapter"
            table([_part(name, part, scored=bool(found.scored)) for part in parts], title=title)
            print()
        shown.append(numbers)


def _part(name: str, part: "Part", *, scored: bool) -> dict[str, Any]:
    gain = {"gain by scores": _percent(part.gain)} if scored else {}
    return {
        name: part.name,
        "targets": part.targets,
        "adapted": part.adapted,
        "parameters": _percent(part.parameters),
        "squared singular values": _percent(part.energy),
        **gain,
    }


def _target(row: "Weighed") -> dict[str, Any]:
    values = " ".join(f"{value:.2g}" for value in row.values[:_VALUES])
    more = " …" if len(row.values) > _VALUES else ""
    gains = {"of": len(row.gains), "gain kept": row.kept, "gain cut": row.cut}
    return {
        "target": row.target.name,
        "rank": row.rank,
        "parameters": row.parameters,
        "rank for 90 %": row.enough,
        **(gains if row.gains else {}),
        "singular values": values + more,
    }


def _print_scores(found: "Explanation") -> None:
    scored = found.scored
    if scored is None:
        return
    print("\nHow ranks were chosen")
    name = scored.name or "its name is not stored"
    facts = {
        "scores of": scored.arm,
        "score": f"{name}, in {_UNITS.get(name, 'nats of the loss')}",
        **_gate(found),
    }
    record(facts | {"compared without training": scored.evaluated})
    print()
    table(
        [
            {
                "allocation": each.name,
                "targets": each.adapted,
                "parameters": each.parameters,
                "truncated loss": each.loss,
                "examples": each.examples,
                "after stretches": _stretches(each.stretches),
                "": _ended(each.chosen),
            }
            for each in found.tried
        ],
        title="Allocations in the race, the best first",
    )


def _stretches(losses: Mapping[str, float]) -> str:
    return ", ".join(f"{text(loss)} {key}".strip() for key, loss in losses.items())


def _ended(chosen: str | None) -> str:
    return "" if chosen is None else f"trained to the end {chosen}".strip()


def _gate(found: "Explanation") -> dict[str, str]:
    scored = found.scored
    if scored is None or not scored.taus:
        return {"trusted": "not tried on random allocations"}
    taus = {f"tau of {name}": text(tau) for name, tau in scored.taus.items()}
    trusted = f"no: none reached {scored.least:g}"
    if scored.trusted:
        trusted = f"{scored.trusted}: the highest tau, of at least {scored.least:g}"
    return {**taus, "trusted": trusted}


def _print_front(found: "Explanation") -> None:
    if not found.front:
        return
    print()
    table(
        [
            {
                "budget": each.budget,
                "parameters": each.parameters,
                "valid loss": each.loss,
                "FT": _ft(each.fine_tunes),
                "trained on from": each.chosen,
                "": "another is as small and as good" if each.dominated else "",
            }
            for each in found.front
        ],
        title="The front: an adapter of each size (autolora export --parameters N)",
    )


def _print_more(found: "Explanation") -> None:
    if not found.offers:
        return
    print()
    table(
        [
            {
                "target": offer.target,
                "to rank": offer.rank,
                "parameters": offer.parameters,
                "gain": offer.gain,
                "gain per 1,000": 1000 * offer.gain / offer.parameters,
            }
            for offer in found.offers[:_OFFERS]
        ],
        title=f"One rank more, by the scores: the best {_OFFERS} of {len(found.offers)}",
    )
    step = found.step
    if step is None:
        return
    print(
        f"Uniform rank {step.uniform_rank} would be {step.parameters:,} parameters more. By the "
        f"scores they gain {text(step.gain)} at the best {len(step.ranks)} targets, "
        f"{text(step.even_gain)} as one rank more everywhere."
    )


def _print_costs(found: "Explanation") -> None:
    print()
    table(
        [
            {
                "stage" if found.account else "arm": each.stage,
                "FT": _ft(each.fine_tunes),
                "example-passes": each.example_passes,
                "seconds": f"{each.seconds:7.1f}",
            }
            for each in found.spent
        ],
        title="What it cost",
    )
    if found.account and found.allowance and found.fine_tune:
        total = sum(each.example_passes for each in found.spent)
        parts = ", ".join(f"{each.stage} {_ft(each.fine_tunes).strip()}" for each in found.account)
        print(
            f"{total / found.fine_tune:.2f} FT of {found.allowance / found.fine_tune:.2f} were "
            f"spent; the account, at most: {parts}"
        )
    _print_importance(found.importance.items())


def _print_importance(shares: Iterable[tuple[str, float]]) -> None:
    rows = [{"searched number": name, "share": _percent(share)} for name, share in shares]
    if rows:
        print()
        table(rows, title="What mattered (PED-ANOVA)")


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:5.1f} %"


def _ft(fine_tunes: float | None) -> str:
    return "–" if fine_tunes is None else f"{fine_tunes:5.2f}"
