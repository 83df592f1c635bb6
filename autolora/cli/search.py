"""The command that runs a search."""

from pathlib import Path
from typing import Annotated

import typer

from autolora.cli.app import Json, Storage, StudyName, command
from autolora.cli.output import show


@command("autolora search digits --trials 2")
def search(
    study: StudyName,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Another number of trials than the file says.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Where results go; runs/STUDY without it.")
    ] = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Run the search of a study file, or go on with it; write adapter and report.

    Ctrl-C ends it and keeps what is finished; the same command goes on.
    """
    from autolora.cli.progress import listener
    from autolora.plots.report import write
    from autolora.plots.verdict import lines, verdict
    from autolora.study.study import Study

    opened = Study.create(study, storage=storage, folder=output, trials=trials)
    with listener() as listen:
        opened.run(listen)
    results = opened.results()
    page = write(results, opened.folder / "report.html")
    written = {"report": str(page), **opened.export_all()}
    if as_json:
        show({"verdict": verdict(results).sentence, "files": written}, as_json=True)
        return
    show(lines(results), as_json=False)
    print(f"\n{verdict(results).sentence}\n")
    show(written, as_json=False)
