"""Vision models of transformers and diffusers, tiny and from random weights."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from whole import Row

_SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 8,
}


def _images() -> Mapping[str, Any]:
    return {"pixel_values": torch.randn(2, 3, 32, 32)}


def vit() -> nn.Module:
    from transformers import ViTConfig, ViTForImageClassification

    return ViTForImageClassification(ViTConfig(**_SMALL, num_labels=5))


def swin() -> nn.Module:
    from transformers import SwinConfig, SwinForImageClassification

    config = SwinConfig(
        image_size=32, patch_size=4, embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4
    )
    return SwinForImageClassification(config)


def beit() -> nn.Module:
    from transformers import BeitConfig, BeitForImageClassification

    config = BeitConfig(**_SMALL, num_labels=5, use_relative_position_bias=True)
    return BeitForImageClassification(config)


def segformer() -> nn.Module:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    config = SegformerConfig(
        hidden_sizes=[8, 16, 16, 16],
        depths=[1] * 4,
        num_attention_heads=[1, 2, 2, 2],
        decoder_hidden_size=16,
        num_labels=5,
    )
    return SegformerForSemanticSegmentation(config)


def clip() -> nn.Module:
    from transformers import CLIPConfig, CLIPModel

    text = {
        "vocab_size": 61,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 16,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    return CLIPModel(CLIPConfig(text_config=text, vision_config=_SMALL, projection_dim=24))


def detr() -> nn.Module:
    from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig

    backbone = ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16],
        depths=[1, 1],
        layer_type="basic",
        out_features=["stage2"],
    )
    config = DetrConfig(
        use_timm_backbone=False,
        backbone=None,
        backbone_config=backbone,
        num_queries=5,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        num_labels=4,
    )
    return DetrForObjectDetection(config)


def unet() -> nn.Module:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=8,
        in_channels=3,
        out_channels=3,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=12,
        attention_head_dim=4,
        norm_num_groups=4,
    )


def _captioned() -> Mapping[str, Any]:
    return {**_images(), "input_ids": torch.randint(3, 61, (2, 9))}


def _noisy() -> Mapping[str, Any]:
    return {
        "sample": torch.randn(2, 3, 8, 8),
        "timestep": 7,
        "encoder_hidden_states": torch.randn(2, 5, 12),
    }


_VECTOR = "(1, 1, width): a vector"

ROWS = (
    Row("vit", vit, _images, left={"*.cls_token": _VECTOR}),
    Row("swin", swin, _images),
    Row("beit", beit, _images, left={"*.cls_token": _VECTOR}),
    Row("segformer", segformer, lambda: {"pixel_values": torch.randn(2, 3, 64, 64)}),
    Row("clip", clip, _captioned),
    Row(
        "detr",
        detr,
        _images,
        idle={
            "model.decoder.layers.0.self_attn.*": "the queries start at zero and so do the biases "
            "of a fresh model: the first layer has nothing to attend to"
        },
    ),
    Row("unet", unet, _noisy),
)
