"""Vision models of torchvision, from random weights; small images."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import nn
from whole import Row


def _images(side: int = 32) -> Mapping[str, Any]:
    return {"x": torch.randn(2, 3, side, side)}


def _named(name: str) -> nn.Module:
    from torchvision import models

    return models.get_model(name, weights=None, num_classes=5)


def resnet() -> nn.Module:
    from torchvision.models.resnet import BasicBlock, ResNet

    return ResNet(BasicBlock, [1, 1, 1, 1], num_classes=5)


def convnext() -> nn.Module:
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    blocks = [CNBlockConfig(16, 24, 2), CNBlockConfig(24, None, 1)]
    return ConvNeXt(blocks, stochastic_depth_prob=0.1, layer_scale=0.5, num_classes=5)


def efficientnet() -> nn.Module:
    from torchvision.models.efficientnet import EfficientNet, FusedMBConvConfig, MBConvConfig

    blocks = [FusedMBConvConfig(2, 3, 1, 8, 16, 1), MBConvConfig(4, 5, 2, 16, 24, 2)]
    return EfficientNet(blocks, dropout=0.2, num_classes=5, last_channel=32)


def vit_b() -> nn.Module:
    from torchvision.models import VisionTransformer

    return VisionTransformer(32, 8, 2, 4, 32, 48, num_classes=5)


_SCALES = {"*.layer_scale": "(channels, 1, 1): one number a channel"}
_VECTOR = "(1, 1, width): a vector"

ROWS = (
    Row("torchvision_resnet", resnet, _images),
    Row("torchvision_convnext", convnext, _images, left=_SCALES),
    Row("torchvision_efficientnet", efficientnet, _images),
    Row("torchvision_vit_b", vit_b, _images, left={"class_token": _VECTOR}),
)
FULL = (
    Row("resnet18", partial(_named, "resnet18"), partial(_images, 64)),
    Row("convnext_tiny", partial(_named, "convnext_tiny"), partial(_images, 64), left=_SCALES),
    Row("efficientnet_b0", partial(_named, "efficientnet_b0"), partial(_images, 64)),
)
