"""Where the token of a server comes from, and that nobody sees it in the list of processes."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from autolora.cli.app import fail
from autolora.errors import AutoloraError


def token_option(variable: str, what: str) -> Any:
    """An option `--token`, that a variable gives too, or a file that `VARIABLE_FILE` names."""
    return typer.Option(
        envvar=variable,
        help=f"{what} Better as {variable}, or in a file of mode 600 that {variable}_FILE names: "
        "everybody on this machine sees options.",
        show_default=False,
        callback=_from(variable),
    )


def _from(variable: str) -> Callable[[str | None], str | None]:
    def given(token: str | None) -> str | None:
        try:
            return taken(variable, token)
        except AutoloraError as error:
            fail(str(error), error.exit_code)

    return given


def taken(variable: str, token: str | None) -> str | None:
    """The token as an option or a variable gives it, else that of the file.

    Raises:
        TokenFile: if the file cannot be read, or others can read it.
    """
    if token is None:
        path = os.environ.get(f"{variable}_FILE")
        return _read(Path(path)) if path else None
    if any(token in word for word in sys.argv[1:]) and os.environ.get(variable) != token:
        print(
            "autolora: the token in --token is visible in the list of processes; give it as "
            f"{variable} or in a file of mode 600 that {variable}_FILE names",
            file=sys.stderr,
        )
    return token


def _read(path: Path) -> str:
    from autolora.errors import TokenFile
    from autolora.study.location import read_private

    return read_private(path, TokenFile)
