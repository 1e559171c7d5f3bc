# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""OmDet-Turbo checkpoints with random weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from transformers import OmDetTurboConfig, OmDetTurboForObjectDetection, SwinConfig
from transformers.models.detr.image_processing_pil_detr import DetrImageProcessorPil

from zs_seg_ros.testing.clipseg import write_tokenizer

# Of R, G, B in 0..255, as in the published file.
_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def published_omdet_turbo_config() -> OmDetTurboConfig:
    """The shape of omlab/omdet-turbo-swin-tiny-hf: transformers' defaults, with CLIP ViT-B/16's text encoder.

    The published image encoder is timm's Swin-T. Here it is transformers' Swin of the same shape, which normalises its
    features itself.
    """
    swin = SwinConfig(image_size=640, window_size=7, depths=[2, 2, 6, 2], out_indices=[2, 3, 4])
    return OmDetTurboConfig(
        backbone_config=swin,
        apply_layernorm_after_vision_backbone=False,
        text_config={"model_type": "clip_text_model"},
    )


def small_omdet_turbo_config(**changes: object) -> OmDetTurboConfig:
    """The same architecture, small enough for a test to run in milliseconds; images of 64x64."""
    swin = SwinConfig(
        image_size=64,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=4,
        out_indices=[2, 3, 4],
    )
    text: dict[str, object] = {
        "model_type": "clip_text_model",
        "vocab_size": 600,
        "bos_token_id": 598,
        "eos_token_id": 599,
        "pad_token_id": 599,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    settings: dict[str, object] = {
        "backbone_config": swin,
        "apply_layernorm_after_vision_backbone": False,
        "text_config": text,
        "image_size": 64,
        "text_projection_in_dim": 32,
        "text_projection_out_dim": 32,
        "class_embed_dim": 32,
        "task_encoder_hidden_dim": 48,
        "encoder_hidden_dim": 16,
        "encoder_in_channels": (16, 32, 64),
        "encoder_attention_heads": 2,
        "encoder_dim_feedforward": 32,
        "vision_features_channels": (16, 16, 16),
        "decoder_hidden_dim": 16,
        "decoder_num_heads": 2,
        "decoder_num_layers": 2,
        "decoder_dim_feedforward": 32,
        "num_queries": 30,
    }
    return OmDetTurboConfig(**{**settings, **changes})


def write_omdet_turbo(
    folder: Path,
    config: OmDetTurboConfig,
    image_side: int = 640,
    words: Sequence[str] = (),
    seed: int = 0,
) -> OmDetTurboForObjectDetection:
    """Write a checkpoint with random weights to `folder` and return the model.

    image_side: the side of the square that images are resized to. words: words that the tokenizer encodes as one token
    each, as it does common words in CLIP's own vocabulary.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = OmDetTurboForObjectDetection(config).eval()
        _scale_outputs(model)
    model.save_pretrained(folder)
    write_tokenizer(folder, config.text_config.vocab_size, words)
    DetrImageProcessorPil(
        size={"height": image_side, "width": image_side},
        do_rescale=False,
        image_mean=_MEAN,
        image_std=_STD,
        do_pad=False,
    ).save_pretrained(folder)
    return model


def write_published(folder: Path, words: Sequence[str]) -> None:
    """Write omlab/omdet-turbo-swin-tiny-hf with random weights and transformers' own Swin."""
    write_omdet_turbo(folder, published_omdet_turbo_config(), words=["detect", *words])


@torch.no_grad()
def _scale_outputs(model: OmDetTurboForObjectDetection) -> None:
    """Give the outputs the range of a trained model's: scores depend on phrases and boxes, and boxes differ in size."""
    decoder = model.decoder
    for head in (decoder.encoder_bbox_head, *decoder.decoder_bbox_head):
        for layer in head.layers:  # otherwise boxes would equal the proposals
            layer.reset_parameters()
        head.layers[-1].weight.mul_(5)
    for name, weight in model.named_parameters():
        if "sampling_offsets.weight" in name or "attention_weights.weight" in name:
            nn.init.normal_(weight, std=0.2)
    for module in model.modules():
        if isinstance(
            module, nn.BatchNorm2d
        ):  # otherwise features would hardly depend on the image
            assert module.running_var is not None
            module.running_var.fill_(0.1)
    text = model.language_backbone
    prompts = torch.randint(0, model.vocab_size - 2, (100, 2))
    mean = (text.model(prompts).last_hidden_state[:, -1] @ text.text_projection).mean(0)
    for layer in (*decoder.decoder_class_head, decoder.encoder_class_head):
        layer.reset_parameters()
        layer.bias.copy_(-layer.weight @ mean)  # otherwise all phrases would be detected, or none
    decoder.task_project.reset_parameters()
