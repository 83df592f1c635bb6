"""The command that runs a search."""

from pathlib import Path
from typing import Annotated

import typer

from autolora.cli.app import AllowCode, Json, Storage, StudyName, command
from autolora.cli.output import show


@command("autolora search digits")
def search(  # noqa: PLR0913 — one option each
    study: StudyName,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Another number of trials than the file says.")
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(help="Another strategy than the file names, as nest or optuna.")
    ] = None,
    ft: Annotated[
        float | None,
        typer.Option(min=0.01, help="Another budget of compute: fine-tunes of the study's length."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Where results go; runs/STUDY without it.")
    ] = None,
    smoke: Annotated[
        bool,
        typer.Option(
            "--smoke", help="The study made small, as STUDY-smoke: done in a minute or two."
        ),
    ] = False,
    allow_code: AllowCode = False,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Run the search of a study file, or go on with it; write adapter and report.

    Ctrl-C ends it and keeps what is finished; the same command goes on.
    """
    from autolora.plots.report import write
    from autolora.plots.verdict import lines, verdict
    from autolora.study.description import read_study
    from autolora.study.progress import listener
    from autolora.study.smoke import smoke as small
    from autolora.study.study import Study

    spec = small(read_study(study)) if smoke else read_study(study)
    if strategy is not None or ft is not None:
        spec = spec.with_strategy(strategy, ft)
    if trials is not None:
        spec = spec.with_trials(trials)
    opened = Study.create(spec, storage=storage, folder=output, allow_code=allow_code)
    with listener() as listen:
        done = opened.run(listen)
    if not done:
        _stopped(spec.name, as_json=as_json)
        return
    results = opened.results()
    page = write(results, opened.folder / "report.html")
    written = {"report": str(page), **opened.export_all()}
    if as_json:
        show({"verdict": verdict(results).sentence, "files": written}, as_json=True)
        return
    show(lines(results), as_json=False)
    print(f"\n{verdict(results).sentence}\n")
    show(written, as_json=False)


def _stopped(name: str, *, as_json: bool) -> None:
    """Says that the study was stopped while it ran."""
    if as_json:
        show({"study": name, "stopped": True}, as_json=True)
        return
    print(f"{name} was stopped; to go on: autolora resume {name} && autolora search {name}")
