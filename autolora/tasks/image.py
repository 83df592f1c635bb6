"""Images: a pretrained network learns new classes, of images or of their pixels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import interpolate

from autolora.data.opened import Data, Roles, classes, open_data
from autolora.data.options import DataOptions
from autolora.data.vision.augment import Augment, augmented
from autolora.data.vision.networks import Wanted, network
from autolora.data.vision.pictures import masks, pictures
from autolora.errors import MaskBeyond
from autolora.metrics import metrics
from autolora.objectives import answers as answers_of
from autolora.objectives import logits
from autolora.objectives.classification import objective as classification
from autolora.objectives.multi_label import objective as multi_label
from autolora.objectives.segmentation import IGNORED
from autolora.objectives.segmentation import objective as segmentation
from autolora.space.read import Strict, validate
from autolora.training.batch import Batch
from autolora.training.supervised import Objective, SupervisedTask
from autolora.training.task import SPLITS, Task
from autolora.training.weighing import class_weights

_VERSION = 2  # of how inputs are prepared: a change makes stored results stale
_METRICS = {
    "classification": ("accuracy", "f1_score"),
    "multi_label": ("accuracy", "f1_score"),
    "segmentation": ("mean_iou",),
}
_ROLES = {
    "classification": Roles(("image", "label"), files=("image",)),
    "multi_label": Roles(("image", "label"), files=("image",), lists=("label",)),
    "segmentation": Roles(("image", "mask"), files=("image", "mask")),
}


class ImageOptions(Strict):
    """The `task` block of a study of images, without its type.

    Units: `image_size` is the side of the square that the network sees, in pixels.

    Attributes:
        model: One of ours (mobilenet_v2), `torchvision/NAME`, `timm/NAME`, a folder or hub id of
            transformers, or `package.module:function`, which needs --allow-code.
        weights: A file with the state of a torchvision network.
        head: The layer that is replaced by a new head, if it is not the last.
        data: Where the images are.
        objective: One class an image, several labels, or a class for each pixel.
        fit: Whether an image that is no square is stretched or cut.
        augment: How training images are changed at random.
        class_weights: "balanced" weighs each example against the frequency of its class.
        metrics: What is measured beside the loss; each objective has its usual ones.
    """

    model: str
    weights: str | None = None
    head: str | None = None
    data: DataOptions
    objective: Literal["classification", "multi_label", "segmentation"] = "classification"
    image_size: int = Field(default=224, ge=16, le=1024)
    fit: Literal["stretch", "crop"] = "stretch"
    augment: Augment | None = None
    class_weights: Literal["none", "balanced"] = "none"
    metrics: tuple[str, ...] = ()


OPTIONS = ImageOptions


def task(options: Mapping[str, Any], *, allow_code: bool = False) -> Task:
    """The task that a study's `task` block describes.

    Raises:
        UsageError: if options, data or model cannot be, with the reason.
        FetchFailed: if data or weights of ours can neither be found nor downloaded.
    """
    chosen = validate(dict(options), ImageOptions, "task")
    measured = metrics(
        chosen.metrics or _METRICS[chosen.objective], of=answers_of(chosen.objective)
    )
    data = open_data(chosen.data, _ROLES[chosen.objective])
    answers = _answers(chosen, data)
    net = network(
        Wanted(
            chosen.model,
            answers.outputs,
            chosen.weights,
            chosen.head,
            "pixels" if chosen.objective == "segmentation" else "image",
            allow_code,
        )
    )
    splits = {name: _examples(chosen, data, name, answers) for name in SPLITS}
    return SupervisedTask(
        network=net.make,
        call=Call(net.mean, net.std, chosen.objective == "segmentation"),
        splits=splits,
        objective=answers.objective,
        metrics=measured,
        head=net.head,
        identity=[_VERSION, chosen.model_dump(mode="json"), net.identity, data.identity],
        classes=answers.outputs,
        evaluation_batch=128,
        augmented=chosen.augment is not None,
    )


@dataclass(frozen=True)
class Call:
    """Bytes go in as the network was pretrained on pixels; scores come out.

    Grey images become three equal channels. Scores of pixels are brought to the size of the image.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    of_pixels: bool = False

    def __call__(self, model: nn.Module, pixels: Tensor) -> Tensor:
        """Shapes: pixels (batch, 1 or 3, side, side) of uint8; result (batch, classes[, …])."""
        output = model(self.inputs(pixels))
        if not self.of_pixels:
            return logits(output)
        scores = logits(output["out"] if isinstance(output, dict) and "out" in output else output)
        return interpolate(scores, size=pixels.shape[-2:], mode="bilinear")

    def inputs(self, pixels: Tensor) -> Tensor:
        """Normalised pixels, channels last: (batch, 3, side, side) of float."""
        # Scalars of each channel, not tensors: nothing is copied to the device at every batch.
        planes = [
            (pixels[:, min(i, pixels.shape[1] - 1)] / 255 - mean) / std
            for i, (mean, std) in enumerate(zip(self.mean, self.std, strict=True))
        ]
        return torch.stack(planes, 1).contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class ImageExamples:
    """The images of a split, as bytes."""

    pixels: Tensor
    targets: Tensor
    weights: Tensor
    augment: Augment | None = None
    lengths: Tensor | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, indices: Tensor, augment: torch.Generator | None) -> Batch:
        """Images side by side; changed at random where a generator is given."""
        pixels, targets = self.pixels[indices], self.targets[indices]
        if augment is not None and self.augment is not None:
            pixels, targets = augmented(pixels, targets, self.augment, augment)
        return Batch(pixels, targets, indices, self.weights[indices])


@dataclass(frozen=True)
class _Answers:
    """What the images are answered with: names, how many outputs, and the objective."""

    names: tuple[str, ...]
    outputs: int
    objective: Objective


def _answers(chosen: ImageOptions, data: Data) -> _Answers:
    if chosen.objective == "classification":
        names = classes(data)
        return _Answers(names, len(names), classification())
    if chosen.objective == "multi_label":
        names = classes(data)
        return _Answers(names, len(names), multi_label())
    seen = _masks(chosen, data, "train")
    most = int(seen[seen != IGNORED].max()) + 1
    return _Answers((), most, segmentation())


def _masks(chosen: ImageOptions, data: Data, split: str) -> Tensor:
    table = data.splits[split]
    return masks(table.columns["mask"], chosen.image_size, chosen.fit, table.place)


def _examples(chosen: ImageOptions, data: Data, split: str, answers: _Answers) -> ImageExamples:
    table = data.splits[split]
    pixels = pictures(table.columns["image"], chosen.image_size, chosen.fit, table.place)
    weights = torch.ones(len(table))
    if chosen.objective == "segmentation":
        targets = _masks(chosen, data, split).long()
        if ((targets >= answers.outputs) & (targets != IGNORED)).any():
            raise MaskBeyond(table.source, int(targets[targets != IGNORED].max()), answers.outputs)
    elif chosen.objective == "multi_label":
        targets = torch.tensor(
            [[float(name in labels) for name in answers.names] for labels in table.columns["label"]]
        )
    else:
        targets = torch.tensor([answers.names.index(label) for label in table.columns["label"]])
        if chosen.class_weights == "balanced" and split == "train":
            weights = class_weights(targets, answers.outputs)
    return ImageExamples(pixels, targets, weights, chosen.augment if split == "train" else None)
