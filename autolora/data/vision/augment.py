"""Training images changed at random, by torchvision's transforms."""

from functools import cache
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from autolora.errors import MissingExtra
from autolora.space.read import Strict


class Augment(Strict):
    """How training images are changed; what is left out is not done.

    Units: `crop` is the smallest share of the area that is kept; `rotate` is in degrees; `flip` is
    a probability; `color` is the strength of changes of brightness, contrast and saturation.
    """

    flip: float = Field(default=0.0, ge=0, le=1)
    crop: float | None = Field(default=None, gt=0, le=1)
    rotate: float = Field(default=0.0, ge=0, le=180)
    color: float = Field(default=0.0, ge=0, le=1)


def augmented(
    pixels: Tensor, targets: Tensor, augment: Augment, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Images changed each in its own way, masks with them; torch's generator stays where it was.

    Shapes: pixels (batch, channels, side, side) of uint8; targets (batch, …), masks if they have
    the side of the images.

    Raises:
        MissingExtra: if torchvision is not installed.
    """
    try:
        from torchvision import tv_tensors
    except ImportError as error:
        raise MissingExtra("augmentation", "torchvision", "vision") from error
    change = _transforms(augment, pixels.shape[-1])
    masked = targets.ndim == 3
    images, masks = [], []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        for image, target in zip(pixels, targets, strict=True):
            beside = tv_tensors.Mask(target) if masked else target
            changed = change(tv_tensors.Image(image), beside)
            images.append(changed[0].as_subclass(Tensor))
            masks.append(changed[1].as_subclass(Tensor))
    return torch.stack(images), torch.stack(masks)


@cache
def _transforms(augment: Augment, side: int) -> Any:
    from torchvision.transforms import v2

    steps: list[Any] = []
    if augment.crop is not None:
        steps.append(v2.RandomResizedCrop(side, scale=(augment.crop, 1.0), antialias=True))
    if augment.flip:
        steps.append(v2.RandomHorizontalFlip(augment.flip))
    if augment.rotate:
        steps.append(v2.RandomRotation(augment.rotate))
    if augment.color:
        strength = augment.color
        steps.append(v2.ColorJitter(strength, strength, strength))
    return v2.Compose(steps or [v2.Identity()])
