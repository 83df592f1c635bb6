"""Rows as Markdown: times by number of threads, counts once, and whether each target is met."""

from collections.abc import Iterable, Sequence

from benchmarks.others import Note
from benchmarks.rows import Row

NOISE = 0.03  # what a ratio of times may miss a target by on a machine that does other work, too
STEP_LIMIT, SAVED_LIMIT = 0.93, 0.8  # of PEFT's, at rank 8 of a whole transformer

OTHERS = ("autolora", "PEFT", "dense")


def times(rows: Sequence[Row]) -> str:
    """Milliseconds of the base and ratios to it; how autolora stands to PEFT; the verdict."""
    head = ["", "base ms", *(f"{name} / base" for name in OTHERS), "autolora / PEFT", "target"]
    return _table(
        head,
        [
            [
                row.case,
                f"{row.milliseconds:.2f}",
                *(_ratio(row.ratios.get(name)) for name in OTHERS),
                f"{row.peer:.2f} ± {row.peer_error:.2f}" if row.peer is not None else "–",
                _time_verdict(row),
            ]
            for row in rows
        ],
    )


def flops(rows: Sequence[Row]) -> str:
    """Of the base, and ratios to it; nothing where torch does not count right."""
    return _table(
        ["", "base MFLOP", *(f"{name} / base" for name in OTHERS)],
        [
            [
                row.case,
                f"{base / 1e6:,.1f}" if base else "–",
                *(_share(row, name, "flops", base) for name in OTHERS),
            ]
            for row in rows
            for base in [row.counts["base"]["flops"]]
        ],
    )


def memory(rows: Sequence[Row]) -> str:
    """Saved for backward and peak, in MB, and the verdict on what is saved."""
    names = ("base", *OTHERS)
    head = ["", *(f"saved: {n}" for n in names), "target", *(f"peak: {n}" for n in names)]
    return _table(
        head,
        [
            [
                row.case,
                *(_megabytes(row, name, "saved_bytes") for name in names),
                _saved_verdict(row),
                *(_megabytes(row, name, "peak_bytes") for name in names),
            ]
            for row in rows
        ],
    )


def other(notes: Sequence[Note]) -> str:
    """Merged inference, attaching, mixed batches."""
    return _table(
        ["", "found", "target", ""],
        [[note.what, note.found, note.target, _word(met=note.met)] for note in notes],
    )


def missed(rows: Iterable[Row], notes: Iterable[Note]) -> list[str]:
    """What misses its target, by name."""
    found = [f"{row.case} ({row.mode}): time" for row in rows if _is_missed(_time_verdict(row))]
    found += [f"{row.case}: saved bytes" for row in rows if _is_missed(_saved_verdict(row))]
    return found + [note.what for note in notes if not note.met]


def _time_verdict(row: Row) -> str:
    if row.peer is None:
        return "–"
    limit = STEP_LIMIT if _is_key(row) else 1.0
    return f"≤ {limit:.2f}: {_word(met=row.peer <= limit + NOISE)}"


def _saved_verdict(row: Row) -> str:
    if row.mode == "infer" or "PEFT" not in row.counts:
        return "–"
    ours, theirs = (row.counts[name]["saved_bytes"] for name in ("autolora", "PEFT"))
    limit = SAVED_LIMIT if _is_key(row) else 1.0
    share = f" ({ours / theirs:.2f})" if theirs else ""
    return f"≤ {limit:.1f} PEFT{share}: {_word(met=ours <= limit * theirs)}"


def _is_key(row: Row) -> bool:
    return row.strict and row.mode == "train"


def _is_missed(verdict: str) -> bool:
    return verdict.endswith(_word(met=False))


def _word(*, met: bool) -> str:
    return "pass" if met else "**missed**"


def _ratio(value: float | None) -> str:
    return f"{value:.2f}" if value is not None else "–"


def _share(row: Row, name: str, what: str, base: int) -> str:
    return _ratio(row.counts[name][what] / base if base and name in row.counts else None)


def _megabytes(row: Row, name: str, what: str) -> str:
    return f"{row.counts[name][what] / 1e6:.2f}" if name in row.counts else "–"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Markdown with aligned columns, the first to the left."""
    rows = [list(head), *map(list, lines)]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    rows.insert(1, rule)
    return "\n".join(
        "| "
        + " | ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in rows
    )
