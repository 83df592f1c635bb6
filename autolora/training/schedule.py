"""The learning rate over a run."""

import math


def share(step: int, steps: int, warmup: float) -> float:
    """The share of the peak rate at a step (from 0): linear warm-up, then half a cosine to 0.

    Source: Loshchilov & Hutter 2017, equation 5, with a single period.

    >>> [round(share(step, 5, warmup=0.4), 3) for step in range(5)]
    [0.5, 1.0, 1.0, 0.75, 0.25]
    """
    rising = round(steps * warmup)
    if step < rising:
        return (step + 1) / rising
    return (1 + math.cos(math.pi * (step - rising) / (steps - rising))) / 2
