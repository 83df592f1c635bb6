"""The digits: images of handwritten figures."""

from functools import cache

import numpy as np

from autolora.data.digits import table
from autolora.data.table import Table

ABOUT = "5,000 handwritten digits of MNIST, 28 × 28; image, label"

_SIDE = 28


@cache
def tables() -> Table:
    """The images in memory, grey.

    Shapes: an image (28, 28) of uint8.
    Source: LeCun et al. 1998.
    """
    rows = table()
    images = np.asarray(rows[:, :-1]).reshape(-1, _SIDE, _SIDE)
    return Table({"image": list(images), "label": [str(n) for n in rows[:, -1]]}, "digits")
