"""What is trained with and without kept activations: models, sizes and placements."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from autolora.lora.targets import Target, targets
from autolora.tasks import image, text
from autolora.training.task import Task


@dataclass(frozen=True)
class Case:
    """A task, the targets that are adapted (none: the head alone), and how it is trained."""

    name: str
    task: Task
    found: tuple[Target, ...]
    batch: int
    epochs: int = 5

    @property
    def layers(self) -> frozenset[str]:
        return frozenset(target.layer for target in self.found)

    @property
    def steps(self) -> int:
        return self.epochs * -(-self.task.examples("train") // self.batch)


def cases(only: str) -> Iterator[Case]:
    """Those whose name contains a text, built when they are asked for."""
    for name, build in _CASES.items():
        if only.lower() in name.lower():
            yield build(name)


def _minilm(data: str, train: int, tokens: int, *, head: bool = False) -> Callable[[str], Case]:
    def build(name: str) -> Case:
        options = {
            "model": "minilm",
            "objective": "classification",
            "pooling": "mean",
            "max_length": tokens,
            "data": _splits(data, train),
        }
        return _case(name, text.task(options), ".layer.", 0 if head else 3, 16)

    return build


def _mobilenet(pixels: int, train: int, batch: int, *, head: bool = False) -> Callable[[str], Case]:
    def build(name: str) -> Case:
        options = {
            "model": "mobilenet_v2",
            "data": _splits("digits", train),
            "image_size": pixels,
        }
        return _case(name, image.task(options), "features.", 0 if head else 10, batch)

    return build


def _splits(data: str, train: int) -> dict[str, Any]:
    return {"path": data, "splits": {"train": train, "valid": train // 5, "test": 64}}


def _case(name: str, task: Task, part: str, first: int, batch: int) -> Case:
    """Adapts every target from a number on that follows `part` in its name; for 0 none at all."""
    inside = [t for t in targets(task.model()) if part in t.name and first]
    found = [t for t in inside if int(t.name.split(part)[1].split(".")[0]) >= first]
    return Case(name, task, tuple(found), batch)


# In this order, so that a run that is stopped has left the most telling rows.
_CASES: dict[str, Callable[[str], Case]] = {
    "MiniLM, 16 texts of ≤ 32 tokens": _minilm("wordnet", 192, 32),
    "MobileNetV2, 32 × 48 px": _mobilenet(48, 320, 32),
    "MobileNetV2, 32 × 96 px": _mobilenet(96, 192, 32),
    "MiniLM, ≤ 32 tokens, head only": _minilm("wordnet", 192, 32, head=True),
    "MobileNetV2, 48 px, head only": _mobilenet(48, 320, 32, head=True),
    "MiniLM, 16 pairs of ≤ 96 tokens": _minilm("rte", 64, 96),
    "MobileNetV2, 16 × 224 px": _mobilenet(224, 64, 16),
}
