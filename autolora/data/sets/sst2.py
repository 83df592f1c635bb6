"""SST-2 of GLUE: is a phrase from a film review positive?"""

from collections.abc import Mapping
from functools import cache
from hashlib import sha256

from autolora.data.assets import folder
from autolora.data.glue import disjoint, named, rows
from autolora.data.table import Table

ABOUT = "SST-2 (GLUE): positive or negative phrases; text, label; valid made from train"

_LABELS = {"0": "negative", "1": "positive"}
_ONE_IN = 50  # phrases that become valid


@cache
def tables() -> Mapping[str, Table]:
    """The phrases; test is GLUE's development set, whose labels are known.

    Valid is one phrase in fifty of GLUE's train set, chosen by the digest of its words: the same
    on every machine, and equal phrases stay together.

    Source: Socher et al. 2013; Wang et al. 2019.
    """
    place = folder("sst2")
    given = named(rows(place / "train.tsv", (1, 0), header=True), _LABELS)
    splits = {
        "train": [row for row in given if not _chosen(row[0])],
        "valid": [row for row in given if _chosen(row[0])],
        "test": named(rows(place / "dev.tsv", (1, 0), header=True), _LABELS),
    }
    return disjoint(splits, ("text", "label"), "sst2")


def _chosen(text: str) -> bool:
    return int(sha256(text.encode()).hexdigest(), 16) % _ONE_IN == 0
