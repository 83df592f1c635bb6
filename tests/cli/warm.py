"""Runs commands as processes of their own that start with the libraries loaded already.

Reads a line of JSON for each command, forks, and prints the exit code. Nothing has run before the
fork: a command finds what it finds after its imports, a few seconds earlier.
"""

import gc
import json
import os
import sys
import traceback
from typing import Any

import torchvision.models

import autolora.artifacts.merged
import autolora.plots.report
import autolora.study.doctor
import autolora.study.study
import autolora.tasks.image
from autolora.cli import main

_LOADED = (torchvision.models, autolora)


def command(job: dict[str, Any]) -> int:
    """What the console script does, in the place and with the variables of a command."""
    os.chdir(job["folder"])
    os.environ.clear()
    os.environ.update(job["environment"])
    sys.path[:0] = filter(None, job["environment"].get("PYTHONPATH", "").split(":"))
    for name, number in (("stdout", 1), ("stderr", 2)):
        os.dup2(os.open(job[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    _offline(job["environment"].get("HF_HUB_OFFLINE") == "1")
    sys.argv = ["autolora", *job["words"]]
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _offline(flag: bool) -> None:
    """What the libraries would have read from the environment, had they been imported now."""
    for name in ("huggingface_hub.constants", "datasets.config"):
        if name in sys.modules:
            sys.modules[name].HF_HUB_OFFLINE = flag  # type: ignore[attr-defined]


def serve() -> None:
    gc.freeze()  # a child that ends would visit, and so copy, all that was loaded: 1.4 s of 1.5
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            sys.exit(command(json.loads(line)))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)  # noqa: T201


if __name__ == "__main__":
    serve()
