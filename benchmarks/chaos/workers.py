"""Workers are killed at random moments; others take their places."""

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from benchmarks.chaos.counts import Counts, counted
from benchmarks.chaos.place import Place, Process, placed
from benchmarks.chaos.waiting import busy, codes, created, until
from tests.postgres import Server

ENTRY = "autolora.backends.process"


def killed_workers(server: Server | None, *, short: bool) -> Counts:
    """kill -9 of `autolora worker`, ten times among four; three times among two in short.

    Another one joins for each that is killed.
    """
    workers, kills = (2, 3) if short else (4, 10)
    draw = random.Random(0)
    with placed(server, trials=6 if short else 40) as place:
        place.describe(name="inline", lease_seconds=5, retries=20)
        place.pace(0.3 if short else 1.0)
        created(place)
        running = [place.worker() for _ in range(workers)]

        def kill() -> bool:
            victim = running.pop(draw.randrange(len(running)))
            lived = victim.poll() is None
            victim.kill()
            victim.wait()
            running.append(place.worker())
            return lived

        killed = sum(_after_a_while(place, draw, kill) for _ in range(kills))
        place.pace(0.0)
        ends = codes(place, running)
        also = {
            f"{killed} of {kills} killed while they ran": killed == kills,
            "those left ended well": not any(ends),
        }
        return counted(place, kills, also)


def killed_own_workers(server: Server | None, *, short: bool) -> Counts:
    """kill -9 of the processes that the backend `process` started; it starts others itself."""
    workers, kills = (2, 3) if short else (4, 10)
    draw = random.Random(2)
    with placed(server, trials=6 if short else 40) as place:
        place.describe(name="process", workers=workers, lease_seconds=5, retries=20)
        place.pace(0.3 if short else 1.0)
        created(place)
        controller = place.search()

        def kill() -> bool:
            own = workers_of(controller)
            if not own:
                return False
            with suppress(ProcessLookupError):
                os.kill(draw.choice(own), signal.SIGKILL)
                return True
            return False

        killed = sum(_after_a_while(place, draw, kill) for _ in range(kills))
        place.pace(0.0)
        ends = codes(place, [controller])
        also = {
            f"{killed} of {kills} killed while they ran": killed == kills,
            "the one command ended well": not any(ends),
        }
        return counted(place, kills, also)


def _after_a_while(place: Place, draw: random.Random, kill: Callable[[], bool]) -> bool:
    until(place, lambda: busy(place))
    time.sleep(draw.uniform(0.0, 4.0))
    return kill()


def workers_of(controller: Process) -> list[int]:
    """The worker processes of a controller, by what the kernel says."""
    children = Path(f"/proc/{controller.pid}/task").glob("*/children")
    found = [int(pid) for file in children for pid in file.read_text().split()]
    return [pid for pid in found if ENTRY in _command(pid)]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
