"""Fortunes: short English texts of ten kinds, to tell apart or to go on with."""

from functools import cache
from pathlib import Path

from autolora.data.assets import find, folder
from autolora.data.table import Table

ABOUT = "Fortunes: short English texts of 10 kinds; text, label"

_LETTERS = range(30, 601)


@cache
def tables() -> Table:
    """The texts of 30 to 600 letters; the kinds are those without crude jokes.

    Source: Debian's `fortunes`: a file a kind, a line with % after each text.
    """
    place = folder("fortunes")
    kinds: dict[str, str] = {}
    for kind in find("fortunes").files:
        for text in _texts(place / kind):
            kinds.setdefault(text, kind)
    return Table({"text": list(kinds), "label": list(kinds.values())}, "fortunes")


def _texts(path: Path) -> list[str]:
    every = f"\n{path.read_text(encoding='utf-8')}\n".split("\n%\n")
    return [text.strip() for text in every if len(text.strip()) in _LETTERS]
