"""WordNet: which of 41 kinds of thing or act does a gloss explain?"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from autolora.data.assets import folder
from autolora.data.table import Table

ABOUT = "WordNet 3.0: 95,882 glosses of 41 supersenses; text, label"

_NOUNS = (
    "Tops act animal artifact attribute body cognition communication event feeling food group "
    "location motive object person phenomenon plant possession process quantity relation shape "
    "state substance time"
)
_VERBS = (
    "body change cognition communication competition consumption contact creation emotion motion "
    "perception possession social stative weather"
)
# lexnames(5WN) numbers the files of nouns from 3 and goes on with those of verbs.
_LABELS = (*(f"noun.{n}" for n in _NOUNS.split()), *(f"verb.{n}" for n in _VERBS.split()))
_FIRST = 3


@cache
def tables() -> Table:
    """The glosses with their examples.

    Source: Fellbaum 1998; the format is that of wndb(5WN).
    """
    place = folder("wordnet")
    found = [row for name in ("data.noun", "data.verb") for row in _glosses(place / name)]
    texts, labels = zip(*found, strict=True)
    return Table({"text": texts, "label": labels}, "wordnet")


def _glosses(path: Path) -> Iterator[tuple[str, str]]:
    """Every line but those of the licence, which are indented."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith(" "):
                synset, _, gloss = line.partition(" | ")
                yield gloss.strip(), _LABELS[int(synset.split(" ", 2)[1]) - _FIRST]
