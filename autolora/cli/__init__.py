"""The command line: each command is one library call.

Nothing heavy is imported before a command runs, so that `autolora --help` answers at once.
"""

from autolora.cli.app import app

__all__ = ["app", "main", "register"]


def main() -> None:
    """The entry point of the `autolora` command."""
    register()
    app()


def register() -> None:
    """Registers every command, by importing its module."""
    from autolora.cli import (  # noqa: F401 — register
        adapters,
        arithmetic,
        database,
        delivering,
        explaining,
        exporting,
        look,
        pages,
        planning,
        results,
        search,
        starting,
        steering,
        watching,
    )
