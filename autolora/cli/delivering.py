"""The command that delivers results which wait on this disk."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from autolora.cli.app import Json, Storage, command
from autolora.cli.output import show

if TYPE_CHECKING:
    from autolora.errors import StorageUnavailable


@command("autolora deliver")
def deliver(storage: Storage = None, as_json: Json = False) -> None:
    """Deliver results that a worker could not: its database was away for too long.

    They wait in ~/.local/state/autolora/spool, or in the folder AUTOLORA_SPOOL. Every command that
    opens a study delivers those of its database first; this one does it for all of them, or for
    that of --storage.
    """
    from autolora.errors import SpoolFailed
    from autolora.study.spool import folder

    try:
        rows, failed = _all(storage)
    except OSError as error:
        raise SpoolFailed(folder(), error.strerror or str(error)) from error
    if rows or as_json:
        show(rows, as_json=as_json)
    elif failed is None:
        print("nothing waits to be delivered")
    if failed is not None:
        raise failed


def _all(
    storage: str | None,
) -> tuple[list[Mapping[str, Any]], "StorageUnavailable | None"]:
    """What became of the results of each database, and the first that could not be reached."""
    from autolora.errors import StorageUnavailable
    from autolora.study.delivery import place, wheres

    rows: list[Mapping[str, Any]] = []
    failed: StorageUnavailable | None = None
    for where, count in wheres().items():
        if storage is not None and place(storage) != place(where):
            rows.append({"database": where, "delivered": 0, "not wanted": 0, "waiting": count})
            continue
        try:
            rows.append(_delivered(where, count, storage or where))
        except StorageUnavailable as error:
            failed = failed or error
    return rows, failed


def _delivered(where: str, count: int, address: str) -> Mapping[str, Any]:
    from autolora.errors import SpoolUnknown
    from autolora.study.delivery import deliver
    from autolora.study.storage import open_storage

    if "***" in address:
        raise SpoolUnknown(where, count)
    done = deliver(open_storage(address, create=False))
    told = {"delivered": done.accepted, "not wanted": done.ignored, "waiting": done.left}
    return {"database": where, **told}
