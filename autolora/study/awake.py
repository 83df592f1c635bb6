"""Whether this process was away itself: a machine that slept, a container that was paused.

When such a machine comes back, all its workers find all their leases run out, and the first one to
look would take the trials of the others away, which are just about to renew them. So a process
that finds itself to have been away lets no lease run out before a lease's time has passed.

That it was away it sees from its own signs of life, which it gives whenever it renews its leases:
they came too late, by the clock on the wall or by one that goes on during sleep.
"""

import threading
import time
from dataclasses import dataclass, field

_LATE = 2 / 3  # of a lease without a sign of life; there is to be one every third


@dataclass
class Presence:
    """The signs of life of this process, on whichever thread."""

    _last: tuple[float, float] | None = None
    _lenient_until: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def sign(self, lease_seconds: float) -> None:
        """A sign of life; to be given every third of a lease, until `rest`."""
        with self._lock:
            self._look(lease_seconds)
            self._last = _clocks()

    def rest(self) -> None:
        """No more signs of life follow, though the process lives."""
        with self._lock:
            self._last = None

    def was_away(self, lease_seconds: float) -> bool:
        """Whether this process came back less than a lease ago."""
        with self._lock:
            self._look(lease_seconds)
            return time.monotonic() < self._lenient_until

    def _look(self, lease_seconds: float) -> None:
        if self._last is None:
            return
        gap = max(now - then for now, then in zip(_clocks(), self._last, strict=True))
        if gap > _LATE * lease_seconds:
            self._lenient_until = time.monotonic() + lease_seconds


presence = Presence()


def _clocks() -> tuple[float, float]:
    """The wall's clock, which leases on a file go by, and one that goes on during sleep."""
    slept = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.time(), time.clock_gettime(slept)
