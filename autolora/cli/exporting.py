"""The command that serves figures to monitoring systems: metrics."""

from typing import Annotated

import typer

from autolora.cli.app import Json, Storage, StudyName, command
from autolora.cli.token import token_option


@command("autolora metrics digits --port 9464")
def metrics(  # noqa: PLR0913 — one option each
    study: StudyName,
    host: Annotated[str, typer.Option(help="Any other than loopback needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 9464,
    token: Annotated[
        str | None, token_option("AUTOLORA_METRICS_TOKEN", "What a scrape must present.")
    ] = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Serve the figures of a study to Prometheus, computed anew at each scrape.

    Dashboard, alert rules and scrape file for them are in the folder dashboards/.
    """
    from autolora.plots.exporter import serve
    from autolora.study.study import Study

    store = Study.open(study, storage).store
    serve(store, host=host, port=port, token=token, as_json=as_json)
