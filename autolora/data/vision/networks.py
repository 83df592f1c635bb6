"""Pretrained networks for images: ours, torchvision's, timm's, transformers', or the user's."""

import copy
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from autolora.data import pretrained
from autolora.data.assets import find
from autolora.data.models import MODELS, build
from autolora.data.vision.heads import drawn_again, with_head
from autolora.data.weights import state
from autolora.errors import MissingExtra, NoSuchModel, NotItsWeights, NotReached
from autolora.registry import nearest

Answer = Literal["image", "pixels"]  # one answer for an image, or one for each of its pixels
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SEGMENTING = ("lraspp", "fcn", "deeplabv3")
Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Network:
    """A pretrained network with a new head, and how it expects its pixels.

    Attributes:
        make: Gives a fresh one, equal at every call but for its head, which torch's generator
            decides.
        head: The names of the new layers.
        mean: Of each channel, of pixels between 0 and 1; `std` as well.
        identity: Plain data that tell the weights apart.
    """

    make: Callable[[], nn.Module]
    head: tuple[str, ...]
    mean: Numbers
    std: Numbers
    identity: Any


@dataclass(frozen=True)
class Wanted:
    """A network as options name it.

    Attributes:
        name: One of ours, `torchvision/NAME`, `timm/NAME`, a folder or hub id of transformers, or
            `package.module:function`.
        classes: How many outputs the new head has.
        weights: A file with the state of a torchvision network; without it torchvision's default
            weights are downloaded.
        head: The layer to replace, if it is not the last.
        answer: Whether images or pixels are classified.
        allow_code: Whether code of the user's own may run.
    """

    name: str
    classes: int
    weights: str | None = None
    head: str | None = None
    answer: Answer = "image"
    allow_code: bool = False


def network(wanted: Wanted) -> Network:
    """The network that options name.

    Raises:
        NoSuchModel: if it cannot be found or built, with the reason.
        NotReached: if its weights cannot be downloaded.
        MissingExtra: if its library is not installed.
        CodeNotAllowed: if it is code and code is not allowed.
        NoHead: if it has no layer to replace.
    """
    known = wanted.name in MODELS or ":" in wanted.name
    if not known and wanted.name.partition("/")[0] not in ("torchvision", "timm"):
        return _transformers(wanted)
    pristine, (mean, std), identity = _pretrained(wanted)
    head = with_head(pristine, wanted.classes, wanted.head)
    pristine = pristine.eval().to(memory_format=torch.channels_last)
    make = lambda: drawn_again(copy.deepcopy(pristine), head)  # noqa: E731 — said once
    return Network(make, head, mean, std, identity)


def _pretrained(wanted: Wanted) -> tuple[nn.Module, tuple[Numbers, Numbers], Any]:
    name = wanted.name
    if name in MODELS:
        return MODELS[name](), _IMAGENET, find(name).sha256
    if name.startswith("torchvision/"):
        return _torchvision(wanted), _IMAGENET, [name, wanted.weights]
    if name.startswith("timm/"):
        model = _timm(name)
        given = model.pretrained_cfg
        return model, (tuple(given["mean"]), tuple(given["std"])), name
    return build(name, allow_code=wanted.allow_code), _IMAGENET, name


def _torchvision(wanted: Wanted) -> nn.Module:
    try:
        from torchvision.models import get_model, list_models
    except ImportError as error:
        raise MissingExtra("models of torchvision", "torchvision", "vision") from error
    name = wanted.name.partition("/")[2]
    bare = name.removeprefix("segmentation/")
    if bare not in list_models():
        raise NoSuchModel(wanted.name, f"torchvision has {', '.join(nearest(bare, list_models()))}")
    if wanted.weights is None:
        try:
            with redirect_stdout(sys.stderr):  # torch tells there what it downloads
                model: nn.Module = get_model(bare, weights="DEFAULT", **_whole(bare))
        except OSError as error:
            raise NotReached(wanted.name, str(error), "weights: FILE") from error
        return model
    return _with_weights(get_model(bare, weights=None, **_whole(bare)), wanted)


def _whole(name: str) -> dict[str, Any]:
    """Options without which networks of segmentation would download another backbone."""
    return {"weights_backbone": None} if name.startswith(_SEGMENTING) else {}


def _with_weights(model: nn.Module, wanted: Wanted) -> nn.Module:
    assert wanted.weights is not None
    try:
        model.load_state_dict(state(wanted.weights, wanted.name), strict=True)
    except (RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split()[:40])
        raise NotItsWeights(wanted.weights, wanted.name, reason) from error
    return model


def _timm(name: str) -> Any:
    try:
        import timm
    except ImportError as error:
        raise MissingExtra("models of timm", "timm", "vision") from error
    try:
        return timm.create_model(name.partition("/")[2], pretrained=True)
    except RuntimeError as error:
        raise NoSuchModel(name, f"timm says: {error}") from error
    except OSError as error:
        raise NotReached(name, str(error), "model: FOLDER") from error


def _transformers(wanted: Wanted) -> Network:
    """A model of transformers: its own class for the purpose, and its own normalisation."""
    of = pretrained.find(wanted.name)
    auto = "AutoModelForImageClassification"
    if wanted.answer == "pixels":
        auto = "AutoModelForSemanticSegmentation"
    loaded = pretrained.load(of, auto, wanted.classes, keep=False)
    mean, std = pretrained.normalisation(of)
    return Network(loaded.fresh, loaded.head, mean, std, wanted.name)
