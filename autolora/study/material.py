"""What a study is searched with, noted by the worker that comes first: to tell others apart."""

from typing import Any

from autolora.errors import OtherMaterial
from autolora.study.register import change, read
from autolora.study.session import Session
from autolora.study.store import Store
from autolora.training.cost import fine_tune

NOTE = "material"


def note(session: Session, store: Store) -> dict[str, Any]:
    """Notes what decides results in this process, if nobody has; gives what is noted."""
    return read(store, NOTE) or change(store, NOTE, lambda noted: noted or _found(session))


def check(session: Session, store: Store) -> None:
    """Makes sure that data, model and code here are those of the study.

    Raises:
        OtherMaterial: if they are not: results of both could not be compared.
    """
    if note(session, store)["context"] != session.context:
        raise OtherMaterial(store.name)


def fine_tune_passes(store: Store) -> int | None:
    """The example-passes of one run of the study, if a worker noted them."""
    found = read(store, NOTE).get("fine_tune")
    return None if found is None else int(found)


def _found(session: Session) -> dict[str, Any]:
    spec = session.spec
    counted = spec.budget.ft is not None or spec.works or spec.baselines.strategies
    passes = fine_tune(session.task, spec.training) if counted else None
    return {"context": session.context, "fine_tune": passes}
