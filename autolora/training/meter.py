"""Counting what a run costs while it runs."""

import resource
import sys
import time

import torch

from autolora.training.curve import Ledger


class Meter:
    """Starts counting when it is made."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._began = time.perf_counter()
        self._example_passes = 0
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def trained(self, examples: int) -> None:
        """Notes examples that went forward and backward."""
        self._example_passes += 2 * examples

    def evaluated(self, examples: int) -> None:
        """Notes examples that went forward only."""
        self._example_passes += examples

    def ledger(self) -> Ledger:
        """The cost so far."""
        seconds = time.perf_counter() - self._began
        return Ledger(self._example_passes, seconds, peak_bytes(self.device))


def peak_bytes(device: torch.device) -> int:
    """The most memory held: by torch on a GPU, otherwise by this process since it started."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts in bytes there, in KiB here
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
