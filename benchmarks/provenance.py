"""Where the figures of a page come from: command, day, versions, machine."""

import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import version


def provenance(module: str, seconds: float, *names: str) -> str:
    """The lines under the title of a page that `python -m module` wrote in so many seconds.

    `names` are the packages whose versions count beside autolora's.
    """
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    command = shlex.join(["python", "-m", module, *sys.argv[1:]])
    return (
        f"```\n{command}\n```\n\n"
        f"{datetime.now(tz=UTC):%Y-%m-%d}, autolora {version('autolora')}, {versions}, Python "
        f"{platform.python_version()}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores, {seconds / 60:.0f} min."
    )
