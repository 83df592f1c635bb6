"""What the page says over all cells: paired tests, mean ranks, hypervolumes, anytime curves."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.search.anytime import regrets
from benchmarks.search.compared import against, losses, ranks
from benchmarks.search.drawn import anytime, critical
from benchmarks.search.hypervolume import volumes

REFERENCE = "nest"
MAIN = ("nest", "uniform", "adalora", "eva")  # the arms that were run everywhere
ANYTIME, RANKS = "search-anytime.svg", "search-ranks.svg"

Rows = Sequence[Mapping[str, Any]]


def overall(stored: Rows) -> list[str]:
    """The tables over all cells, and links to the figures."""
    lines = _tests(stored) + _volumes(stored)
    for name in figures(stored):
        lines += [f"![{_ALT[name]}]({name})", "", *_UNDER.get(name, ())]
    return lines


def figures(stored: Rows) -> dict[str, str]:
    """The figures that the lines suffice for, by the name of their file."""
    found = {}
    shared = _in_all(stored, MAIN)
    if curves := regrets(shared):
        title = f"Regret on the validation split, {_blocks(shared)} pairs of cell and seed"
        found[ANYTIME] = anytime(curves, title)
    if means := ranks(stored, MAIN):
        title = f"Mean rank by test loss, {means.blocks} pairs of cell and seed"
        found[RANKS] = critical(means, title)
    return found


_ALT = {
    ANYTIME: "Regret against the FT spent: the best validation loss so far by the best of any arm",
    RANKS: "Mean ranks by test loss, with Nemenyi's critical difference at 0.05",
}


_UNDER = {
    ANYTIME: (
        "An arm has a curve from where it has an adapter within the budget in every cell; one that",
        "is cut to the budget in the end, such as AdaLoRA, has none.",
        "",
    )
}


def _in_all(stored: Rows, arms: Sequence[str]) -> list[Mapping[str, Any]]:
    """The lines of some arms in blocks that all of them have."""
    known = losses(stored)
    if not all(arm in known for arm in arms):
        return []
    shared = set.intersection(*(set(known[arm]) for arm in arms))
    return [r for r in stored if r["arm"] in arms and (r["cell"], r["seed"]) in shared]


def _blocks(stored: Rows) -> int:
    return len({(row["cell"], row["seed"]) for row in stored})


def _tests(stored: Rows) -> list[str]:
    found = against(stored, REFERENCE)
    if not found:
        return []
    lines = [f"## Against {REFERENCE}, over all cells and seeds", "", _TESTS, ""]
    lines += ["| arm | blocks | test loss by its | p | p (Holm) |", "|---|---:|---:|---:|---:|"]
    for each in found:
        values = f"{each.blocks} | {each.ratio:.3f} | {each.p:.4f} | {each.holm:.4f}"
        lines.append(f"| {each.arm} | {values} |")
    return [*lines, ""]


_TESTS = f"""A block is a cell at a seed. *Test loss by its*: the geometric mean, over the blocks
that both have, of the arm's test loss by that of `{REFERENCE}`; above 1, `{REFERENCE}` is better.
*p*: of the two-sided sign-flip test of the paired logarithms (exact up to 14 blocks), then
corrected by Holm for the number of arms."""


def _volumes(stored: Rows) -> list[str]:
    lines: list[str] = []
    for task, shares in volumes(stored).items():
        ordered = sorted(shares.items(), key=lambda each: -each[1])
        told = ", ".join(f"{arm} {share:.3f}" for arm, share in ordered)
        lines.append(f"| {task} | {told} |")
    head = ["## Hypervolume over budgets", "", _VOLUMES, "", "| task | arms |", "|---|---|"]
    return [*head, *lines, ""] if lines else []


_VOLUMES = """The share of the box of parameters (by their logarithm) and test loss that an arm's
results at all budgets of a task dominate; higher is better."""
