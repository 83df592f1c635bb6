"""A class for each pixel."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from autolora.objectives import logits
from autolora.training.batch import Batch

IGNORED = 255  # the label of pixels that nobody judged, as in PASCAL VOC

ANSWERS = "pixels"


@dataclass(frozen=True)
class Segmentation:
    """Cross-entropy of a score for each class at each pixel.

    Scores of a coarser grid are interpolated to the grid of the targets.

    Shapes: outputs (batch, classes, rows, columns), or a dictionary with these as `out`
    (torchvision); targets (batch, height, width) of int64.
    """

    def losses(self, output: Any, targets: Tensor) -> Tensor:
        """The mean over the judged pixels of each image, in nats; 0 where there are none."""
        losses = F.cross_entropy(
            _scores(output, targets), targets, ignore_index=IGNORED, reduction="none"
        )
        judged = (targets != IGNORED).sum((1, 2))
        return losses.sum((1, 2)) / judged.clamp(min=1)

    def answered(
        self, model: nn.Module, output: Any, batch: Batch, *, final: bool
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The classes of the judged pixels of each image, and the expected ones."""
        del model, final
        predicted = _scores(output, batch.targets).argmax(1)
        pairs = list(_judged(predicted.cpu(), batch.targets.cpu()))
        return [p for p, _ in pairs], [e for _, e in pairs]


def objective() -> Segmentation:
    """The objective of masks."""
    return Segmentation()


def _scores(output: Any, targets: Tensor) -> Tensor:
    scores = logits(output["out"] if isinstance(output, dict) and "out" in output else output)
    if scores.shape[2:] == targets.shape[1:]:
        return scores
    return F.interpolate(scores, targets.shape[1:], mode="bilinear", align_corners=False)


def _judged(predicted: Tensor, expected: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    for classes, right in zip(predicted, expected, strict=True):
        judged = right != IGNORED
        yield classes[judged], right[judged]
