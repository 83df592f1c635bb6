"""Commands that steer a running study: worker, pause, resume, stop."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autolora.cli.app import AllowCode, Json, Storage, StudyName, command
from autolora.cli.output import show

if TYPE_CHECKING:
    from autolora.study.wish import Wish


@command("autolora worker digits --name ada")
def worker(  # noqa: PLR0913 — one option each
    study: StudyName,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Leave after so many trials; else when none is left.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What `autolora status` calls this worker.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Where its logs go; runs/STUDY without it.")
    ] = None,
    allow_code: AllowCode = False,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Join a stored study as one more worker, from any machine that has its data.

    The study's description is read from the database. Workers come and go as they like: Ctrl-C
    gives the trial back, and another worker takes it. When no trial is left, a worker takes its
    share of the confirmation and ends.
    """
    from dataclasses import replace

    from autolora.study.joining import join
    from autolora.study.progress import listener
    from autolora.study.study import Study

    opened = replace(Study.open(study, storage), allow_code=allow_code)
    if output is not None:
        opened = replace(opened, folder=output)
    with listener() as listen:
        joined = join(opened, listen, name=name, most=trials)
    if as_json:
        show({"study": opened.spec.name, **vars(joined)}, as_json=True)
        return
    told = f"{joined.ran} trials, {joined.measured} measurements"
    print(f"{opened.spec.name}: {joined.why} ({told} by this worker)")


@command("autolora pause digits")
def pause(study: StudyName, storage: Storage = None, as_json: Json = False) -> None:
    """Let running trials end and begin no other; workers wait until `autolora resume`."""
    _want(study, "pause", storage, as_json=as_json)


@command("autolora resume digits")
def resume(study: StudyName, storage: Storage = None, as_json: Json = False) -> None:
    """Let a study go on that was paused or stopped."""
    _want(study, "run", storage, as_json=as_json)


@command("autolora stop digits")
def stop(study: StudyName, storage: Storage = None, as_json: Json = False) -> None:
    """End every worker after its current trial; all that is finished is kept."""
    _want(study, "stop", storage, as_json=as_json)


def _want(study: str, wish: "Wish", storage: str | None, *, as_json: bool) -> None:
    from autolora.study.study import Study
    from autolora.study.wish import want

    store = Study.open(study, storage).store
    before = want(store, wish)
    running = sum(trial.state == "running" for trial in store.trials())
    if as_json:
        told = {"study": store.name, "wish": wish, "before": before, "running": running}
        show(told, as_json=True)
        return
    print(_told(store.name, wish, before, running))


def _told(name: str, wish: "Wish", before: "Wish", running: int) -> str:
    going = f"{running} running trial{'' if running == 1 else 's'} may end, no other begins"
    if wish == "run":
        again = f"; stopped workers are started with: autolora search {name}"
        return f"{name} goes on{again if before == 'stop' else ''}"
    if wish == "pause":
        return f"{name} is paused: {going}. To go on: autolora resume {name}"
    return f"{name} is stopped: {going}, and its workers end. To go on: autolora resume {name}"
