"""Commands about the database of studies: db check, db upgrade."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from autolora.cli.app import Json, Storage, app, ending
from autolora.cli.output import show

database_app = typer.Typer(
    help="The database of studies: which autolora and which Optuna wrote it, and upgrading it.",
    no_args_is_help=True,
)
app.add_typer(database_app, name="db", epilog="Example: autolora db check")

Of = Annotated[
    str | None,
    typer.Option("--study", help="The study whose own database is meant, in place of --storage."),
]


@database_app.command("check", epilog="Example: autolora db check --study digits")
@ending
def check(storage: Storage = None, study: Of = None, as_json: Json = False) -> None:
    """Say which versions wrote a database, and whether it must be upgraded: then exit with 3."""
    from autolora.study.upgrade import found

    state = found(_address(storage, study))
    show(asdict(state), as_json=as_json)
    state.check()


@database_app.command("upgrade", epilog="Example: autolora db upgrade --study digits")
@ending
def upgrade(storage: Storage = None, study: Of = None, as_json: Json = False) -> None:
    """Bring the tables of autolora up to date; end all workers and make a copy first.

    Optuna's tables beside them have a command of their own: optuna storage upgrade.
    """
    from autolora.study.upgrade import upgrade as bring

    before, after = bring(_address(storage, study))
    show({"before": before, "now": after, "changed": before != after}, as_json=as_json)


def _address(storage: str | None, study: str | None) -> str:
    from autolora.errors import WhichDatabase
    from autolora.study.location import default_url

    if study is not None:  # said by hand, where the address may be one of the environment
        return default_url(Path("runs") / study)
    if storage is None:
        raise WhichDatabase
    return storage
