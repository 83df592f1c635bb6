"""CoLA of GLUE: is a sentence of English acceptable?"""

from collections.abc import Mapping
from functools import cache

from autolora.data.assets import folder
from autolora.data.glue import disjoint, named, rows
from autolora.data.table import Table

ABOUT = "CoLA (GLUE): acceptable English or not; text, label; splits given"

_FILES = {"train": "train.tsv", "valid": "val.tsv", "test": "dev.tsv"}
_LABELS = {"0": "unacceptable", "1": "acceptable"}


@cache
def tables() -> Mapping[str, Table]:
    """The sentences; test is GLUE's development set, whose labels are known.

    Source: Warstadt et al. 2019; Wang et al. 2019.
    """
    place = folder("cola")
    splits = {
        name: named(rows(place / file, (3, 1), header=False), _LABELS)
        for name, file in _FILES.items()
    }
    return disjoint(splits, ("text", "label"), "cola")
