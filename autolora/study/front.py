"""The front that a search found: adapters of several sizes, each trained to its end."""

from dataclasses import dataclass

from autolora.artifacts.adapter import Adapter
from autolora.errors import NoFront, NoSuchSize
from autolora.study.results import Results
from autolora.study.store import Store

FINAL = "final run"  # the stage that trains an adapter of a front


@dataclass(frozen=True)
class Size:
    """One adapter of a front.

    Attributes:
        budget: The parameters that it might have; `parameters` are those that it has.
        loss: On the validation split.
        chosen: The allocation that it was trained on from.
        fine_tunes: What this size cost beside what all share, in FT.
        digest: Of the adapter.
        dominated: Whether another adapter of the front is no larger and no worse.
    """

    budget: int
    parameters: int
    loss: float
    chosen: str
    learning_rate: float
    fine_tunes: float
    digest: str
    dominated: bool


def front(results: Results, arm: str) -> tuple[Size, ...]:
    """The sizes that an arm's strategy trained at the study's seed, smallest first, if it did."""
    seed = results.description.get("seed", 0)
    work = next((work for work in results.works if (work.arm, work.seed) == (arm, seed)), None)
    told = work.about.get("front", ()) if work else ()
    beaten = work.about.get("dominated", ()) if work else ()
    return tuple(
        Size(
            each["budget"],
            each["parameters"],
            each["loss"],
            each["chosen"],
            each["learning_rate"],
            each["ft"],
            each["adapter"],
            each["budget"] in beaten,
        )
        for each in told
    )


def within(sizes: tuple[Size, ...], parameters: int) -> Size:
    """The best adapter of a front with at most so many parameters.

    Raises:
        NoFront: if there is no front.
        NoSuchSize: if each of its adapters has more.
    """
    if not sizes:
        raise NoFront
    held = [size for size in sizes if size.parameters <= parameters]
    if not held:
        raise NoSuchSize(parameters, [size.parameters for size in sizes])
    return min(held, key=lambda size: size.loss)


def adapter_of(store: Store, size: Size) -> Adapter:
    """The adapter of a size, from the journal of the study."""
    for content in store.stage_adapters(FINAL):
        adapter = Adapter.from_bytes(content)
        if adapter.digest == size.digest:
            return adapter
    raise LookupError(f"the journal of {store.name} has lost the adapter {size.digest}")
