"""RTE of GLUE: does a text entail a sentence?"""

from collections.abc import Mapping
from functools import cache

from autolora.data.assets import folder
from autolora.data.glue import disjoint, rows
from autolora.data.table import Table

ABOUT = "RTE (GLUE): entailment or not; text, text_pair, label; splits given"

_COLUMNS = (1, 2, 3)


@cache
def tables() -> Mapping[str, Table]:
    """The pairs; test is GLUE's development set, whose labels are known.

    Source: Wang et al. 2019.
    """
    place = folder("rte")
    splits = {
        "train": rows(place / "train.tsv", _COLUMNS, header=True),
        "valid": rows(place / "val.tsv", _COLUMNS, header=False),
        "test": rows(place / "dev.tsv", _COLUMNS, header=True),
    }
    return disjoint(splits, ("text", "text_pair", "label"), "rte")
