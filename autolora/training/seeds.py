"""Where a run's random numbers come from."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

ORDER, DROPOUT = 0, 1  # purposes of derived seeds


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Within this context torch draws from a seed; the caller's generators go on as before."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def derived(seed: int, *purpose: int) -> int:
    """A seed for one purpose, independent of those for others.

    >>> derived(0, 1) == derived(0, 1), derived(0, 1) == derived(0, 2)
    (True, False)
    """
    return int(np.random.SeedSequence(seed, spawn_key=purpose).generate_state(1)[0])
