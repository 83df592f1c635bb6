"""Commands for pages to look at: report, dashboard."""

from pathlib import Path
from typing import Annotated

import typer

from autolora.cli.app import Json, Storage, StudyName, command
from autolora.cli.output import show
from autolora.cli.token import token_option


@command("autolora report digits --output report.html")
def report(
    study: StudyName,
    output: Annotated[
        Path | None, typer.Option(help="The page; runs/STUDY/report.html without it.")
    ] = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Write the report: one self-contained HTML page."""
    from autolora.plots.report import write
    from autolora.study.study import Study

    opened = Study.open(study, storage)
    path = write(opened.results(), output or opened.folder / "report.html")
    show({"report": str(path), "bytes": path.stat().st_size}, as_json=as_json)


@command("autolora dashboard digits --port 8080")
def dashboard(  # noqa: PLR0913 — one option each
    study: StudyName,
    host: Annotated[str, typer.Option(help="Any other than loopback needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8080,
    token: Annotated[
        str | None, token_option("AUTOLORA_DASHBOARD_TOKEN", "What a visitor must present.")
    ] = None,
    writable: Annotated[bool, typer.Option("--writable", help="Allow changes.")] = False,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Serve Optuna's dashboard over a study, with our figures; read-only unless asked."""
    from autolora.plots.publish import publish
    from autolora.plots.serve import serve
    from autolora.study.study import Study

    opened = Study.open(study, storage)
    publish(opened.store.optuna_study(), opened.results())
    serve(
        opened.store.storage.optuna,
        host=host,
        port=port,
        token=token,
        writable=writable,
        as_json=as_json,
    )
