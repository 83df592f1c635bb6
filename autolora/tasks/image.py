"""Image classification: a pretrained network of images learns a new set of classes."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

import torch
from pydantic import ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from autolora.data.assets import find
from autolora.data.digits import Images, digits
from autolora.data.models import MODELS
from autolora.data.splits import split
from autolora.space.read import Strict, validate
from autolora.training.device import moved
from autolora.training.task import Split, Task

Batch = tuple[Tensor, Tensor]

DATA: Mapping[str, Callable[[int], Images]] = MappingProxyType({"digits": digits})

_VERSION = 1  # of how inputs are prepared: a change makes stored results stale
_EVALUATION_BATCH = 128  # larger ones leave the processor's cache and are slower per image
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as torchvision's weights


class Splits(Strict):
    """How many images each split holds, and the seed that deals them."""

    model_config = ConfigDict(strict=True)

    train: int = Field(ge=1)
    valid: int = Field(ge=1)
    test: int = Field(ge=1)
    seed: int = Field(default=0, ge=0)


class ImageOptions(Strict):
    """The `task` block of a study, without its type.

    Units: `image_size` is the side of the square that the network sees, in pixels.
    """

    model_config = ConfigDict(strict=True)

    model: Literal["mobilenet_v2"]
    data: Literal["digits"]
    image_size: int = Field(default=48, ge=32, le=224)
    splits: Splits


def task(options: Mapping[str, Any]) -> Task:
    """The task that a study's `task` block describes.

    Raises:
        UnknownKey: if a key is misspelt.
        BadValue: if one is missing or its value is impossible.
        TooFewExamples: if the splits ask for more images than there are.
        FetchFailed: if the data can neither be found nor downloaded.
    """
    chosen = validate(dict(options), ImageOptions, "task")
    images = DATA[chosen.data](chosen.image_size)
    sizes = chosen.splits.model_dump(exclude={"seed"})
    dealt = split(images.labels.numpy(), images.contents, sizes, chosen.splits.seed)
    return ImageTask(chosen, images, {n: torch.from_numpy(i) for n, i in dealt.items()})


@dataclass(frozen=True)
class ImageTask:
    """Images in three splits and a network with a new head.

    A batch is pixels (batch, 1, side, side) of uint8 with labels (batch,): a third of a byte a
    pixel and colour travels to the device, and `inputs` makes of it what the network was
    pretrained on.
    """

    options: ImageOptions
    images: Images
    indices: Mapping[str, Tensor]
    head: tuple[str, ...] = ("classifier.1",)
    metrics: tuple[str, ...] = ("loss", "accuracy")

    def model(self) -> nn.Module:
        """A fresh pretrained network; its head is drawn from torch's generator."""
        return MODELS[self.options.model]()

    def batches(self, split: Split, *, batch_size: int, seed: int | None = None) -> Iterator[Batch]:
        """One pass over a split, on the CPU; the last batch may be smaller."""
        indices = self.indices[split]
        if seed is not None:
            order = torch.Generator().manual_seed(seed)
            indices = indices[torch.randperm(len(indices), generator=order)]
        for chosen in torch.split(indices, batch_size):
            yield self.images.pixels[chosen], self.images.labels[chosen]

    def examples(self, split: Split) -> int:
        """How many images a split holds."""
        return len(self.indices[split])

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The mean cross-entropy of a batch, in nats."""
        pixels, labels = batch
        return F.cross_entropy(model(inputs(pixels)).float(), labels)

    def per_example(self, model: nn.Module, split: Split) -> dict[str, Tensor]:
        """Cross-entropy in nats and correctness (0 or 1) of every image of a split.

        Shapes: each (images,), on the CPU.
        """
        device = next(model.parameters()).device
        losses, hits = [], []
        for batch in self.batches(split, batch_size=_EVALUATION_BATCH):
            pixels, labels = moved(batch, device)
            scores = model(inputs(pixels)).float()
            losses.append(F.cross_entropy(scores, labels, reduction="none"))
            hits.append((scores.argmax(1) == labels).float())
        return {"loss": torch.cat(losses).cpu(), "accuracy": torch.cat(hits).cpu()}

    def fingerprint(self) -> str:
        """A digest of options, base, images and splits."""
        parts = (
            _VERSION,
            self.options.model_dump(mode="json"),
            find(self.options.model).sha256,
            find(self.options.data).sha256,
            {name: indices.tolist() for name, indices in self.indices.items()},
        )
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def inputs(pixels: Tensor) -> Tensor:
    """Grey images as the network was pretrained on colour ones: three channels, normalised.

    Shapes: pixels (batch, 1, height, width) of uint8; result (batch, 3, height, width) of float,
    channels last.
    """
    mean, std = _mean_and_std(pixels.device)
    normal = (pixels / 255 - mean) / std
    return normal.contiguous(memory_format=torch.channels_last)


@cache
def _mean_and_std(device: torch.device) -> tuple[Tensor, Tensor]:
    """Kept on the device: a copy at every batch would make a GPU wait."""
    mean, std = (torch.tensor(values, device=device).view(3, 1, 1) for values in (_MEAN, _STD))
    return mean, std
