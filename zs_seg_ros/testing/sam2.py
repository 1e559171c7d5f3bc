# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""SAM 2 checkpoints with random weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel, Sam2Config, Sam2Model, Sam2VideoConfig, Sam2VideoModel

_LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
_PRESENCE = "mask_decoder.pred_obj_score_head.proj_out.bias"
_MEMORY_CHANNELS = 64
"""The width of memories that transformers' memory attention takes, and no other."""
MEMORY_WIDTH = 128
"""The width of features in small models whose memory works: a multiple of that of memories."""
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def published_sam2_config() -> Sam2Config:
    """The shape of facebook/sam2.1-hiera-tiny: transformers' defaults."""
    return Sam2Config()


def small_sam2_config() -> Sam2Config:
    """The same architecture, small enough for a test to run in milliseconds; images of 64x64."""
    return Sam2Config(**_small())


def small_sam2_video_config() -> Sam2VideoConfig:
    """Return the small configuration of a video model, with a memory too narrow to work."""
    return Sam2VideoConfig(
        **_small(),
        image_size=64,
        memory_attention_hidden_size=16,
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=32,
        memory_attention_rope_feat_sizes=[4, 4],
        memory_encoder_hidden_size=16,
        memory_encoder_output_channels=8,
        mask_downsampler_embed_dim=16,
        memory_fuser_embed_dim=16,
        memory_fuser_intermediate_dim=32,
    )


def small_sam2_memory_config() -> Sam2VideoConfig:
    """Return the small configuration of a video model whose memory works."""
    return Sam2VideoConfig(
        **_small(MEMORY_WIDTH),
        image_size=64,
        **small_memory(cells=4),
        memory_attention_feed_forward_hidden_size=32,
    )


def small_memory(cells: int) -> dict[str, object]:
    """Return the configuration of a small video memory for features (MEMORY_WIDTH, cells, cells)."""
    width = MEMORY_WIDTH
    return {
        "memory_attention_hidden_size": width,
        "memory_attention_num_layers": 2,
        "memory_attention_rope_feat_sizes": [cells, cells],
        "memory_encoder_hidden_size": width,
        "memory_encoder_output_channels": _MEMORY_CHANNELS,
        "mask_downsampler_embed_dim": width,
        "memory_fuser_embed_dim": width,
        "memory_fuser_intermediate_dim": 32,
        "memory_fuser_layer_scale_init_value": 0.5,
    }


def write_sam2(folder: Path, config: Sam2Config | Sam2VideoConfig, seed: int = 0) -> Sam2Model:
    """Write a SAM 2 checkpoint with random weights to `folder` and return the model.

    The published ones, facebook/sam2.1-hiera-tiny among them, are of the kind `sam2_video`.
    """
    video = isinstance(config, Sam2VideoConfig)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Sam2VideoModel(config) if video else Sam2Model(config)
        scale_masks(model.eval())
        if video and config.memory_encoder_output_channels == _MEMORY_CHANNELS:
            scale_memory(model)
    model.save_pretrained(folder)
    write_preprocessor(folder, "Sam2ImageProcessorFast", config.prompt_encoder_config.image_size)
    return model


def shift_object_score(folder: Path, by: float) -> None:
    """Add a number to the logit of an object's presence in a written checkpoint, also in that of a tracker."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    for name in (name for name in tensors if name.endswith(_PRESENCE)):
        tensors[name] += by
    save_file(tensors, path, metadata={"format": "pt"})


def write_published(folder: Path, _words: Sequence[str]) -> None:
    """Write facebook/sam2.1-hiera-tiny with random weights."""
    write_sam2(folder, published_sam2_config())


def write_preprocessor(folder: Path, kind: str, side: int) -> None:
    """Write a preprocessor_config.json like the published one; transformers' own class needs torchvision."""
    settings = {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": _MEAN,
        "image_processor_type": kind,
        "image_std": _STD,
        "mask_size": {"height": side // 4, "width": side // 4},
        "resample": 2,
        "rescale_factor": 1 / 255,
        "size": {"height": side, "width": side},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings, indent=2))


@torch.no_grad()
def scale_masks(model: PreTrainedModel) -> None:
    """Give masks the range of a trained model's: logits have both signs, and differ from box to box."""
    for module in model.modules():
        if isinstance(module, _LAYERS):
            module.reset_parameters()  # transformers' own initialisation gives all boxes one mask
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight)
    decoder = model.mask_decoder
    for name, module in decoder.named_modules():
        # Otherwise masks would hardly depend on the box.
        if isinstance(module, nn.Linear | nn.ConvTranspose2d):
            module.weight.mul_(3)
        if name in ("conv_s0", "conv_s1"):
            module.weight.mul_(0.3)


@torch.no_grad()
def scale_memory(model: PreTrainedModel) -> None:
    """Give the parts of a video memory that transformers begins with zeros the range of a trained model's."""
    for name in (
        "no_memory_embedding",
        "memory_temporal_positional_encoding",
        "no_object_pointer",
        "occlusion_spatial_embedding_parameter",
    ):
        nn.init.normal_(getattr(model, name), std=0.5)
    model.mask_decoder.pred_obj_score_head.proj_out.weight.mul_(3)  # it depends on the image


def _small(width: int = 16) -> dict[str, object]:
    return {
        "vision_config": {
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "hidden_size": 8,
                "image_size": [64, 64],
                "blocks_per_stage": [1, 1, 2, 1],
                "embed_dim_per_stage": [8, 16, 32, 64],
                "num_attention_heads_per_stage": [1, 1, 2, 2],
                "window_size_per_stage": [4, 2, 2, 2],
                "global_attention_blocks": [3],
                "window_positional_embedding_background_size": [4, 4],
            },
            "backbone_channel_list": [64, 32, 16, 8],
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
            "fpn_hidden_size": width,
        },
        "prompt_encoder_config": {"hidden_size": width, "image_size": 64},
        "mask_decoder_config": {
            "hidden_size": width,
            "mlp_dim": 32,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": 16,
        },
    }
