"""Spoken digits: six speakers say the figures, fifty times each."""

from functools import cache

from autolora.data.assets import folder
from autolora.data.table import Table

ABOUT = "Free Spoken Digit Dataset: 3,000 recordings of 6 speakers; audio, label, group (speaker)"


@cache
def tables() -> Table:
    """The recordings, at 8 kHz.

    Source: Jackson et al., Free Spoken Digit Dataset; a file is called DIGIT_SPEAKER_NUMBER.wav.
    """
    files = sorted(folder("fsdd").iterdir())
    digits, speakers, _ = zip(*(file.stem.split("_") for file in files), strict=True)
    return Table({"audio": files, "label": digits, "group": speakers}, "spoken_digits")
