"""The command that delivers results which wait on this disk."""

from collections.abc import Mapping
from typing import Any

from autolora.cli.app import Json, Storage, command
from autolora.cli.output import show


@command("autolora deliver")
def deliver(storage: Storage = None, as_json: Json = False) -> None:
    """Deliver results that a worker could not: its database was away for too long.

    They wait in ~/.local/state/autolora/spool, or in the folder AUTOLORA_SPOOL. Every command that
    opens a study delivers those of its database first; this one does it for all of them.
    """
    from autolora.errors import StorageUnavailable
    from autolora.study.delivery import place, wheres

    rows, failed = [], None
    for where, count in wheres().items():
        if storage is not None and place(storage) != place(where):
            continue
        try:
            rows.append(_delivered(where, count, storage or where))
        except StorageUnavailable as error:
            failed = failed or error
    if rows or as_json:
        show(rows, as_json=as_json)
    elif failed is None:
        print("nothing waits to be delivered")
    if failed is not None:
        raise failed


def _delivered(where: str, count: int, address: str) -> Mapping[str, Any]:
    from autolora.errors import SpoolUnknown
    from autolora.study.delivery import deliver
    from autolora.study.storage import open_storage

    if "***" in address:
        raise SpoolUnknown(where, count)
    done = deliver(open_storage(address, create=False))
    return {"database": where, "delivered": done.accepted, "not wanted": done.ignored}
