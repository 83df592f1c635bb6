"""Workers that joined a study: each has a number of its own, and a name if it was given one."""

from autolora.study.lease import alive, this_worker
from autolora.study.register import Note, change, read
from autolora.study.store import Store

WORKERS = "workers"
_MOST = 500  # that are remembered: of those on other machines nobody here knows who has left
_FIRST = 256  # numbers below are those of workers that a search started


def entered(store: Store, name: str | None) -> int:
    """Enters this process, and gives a number that no worker of the study had.

    Two samplers of one number would ask for the same.
    """

    def enter(note: Note) -> Note:
        number = note.get("next", _FIRST)
        here = {of: each for of, each in note.get("joined", {}).items() if alive(of) is not False}
        if here.get(this_worker(), {}).get("name", "") == name:
            return note
        entry = {"number": number, "name": name}
        latest = dict([*here.items(), (this_worker(), entry)][-_MOST:])
        return {"next": number + 1, "joined": latest}

    return int(change(store, WORKERS, enter)["joined"][this_worker()]["number"])


def names(store: Store) -> dict[str, str]:
    """What workers that joined are called, by who they are."""
    joined = read(store, WORKERS).get("joined", {})
    return {of: each["name"] for of, each in joined.items() if each["name"]}
