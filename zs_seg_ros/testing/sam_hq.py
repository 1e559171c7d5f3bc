# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""SAM-HQ checkpoints with random weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from transformers import SamHQConfig, SamHQModel
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

from zs_seg_ros.testing.sam2 import scale_masks


def published_sam_hq_config() -> SamHQConfig:
    """The shape of syscv-community/sam-hq-vit-base: transformers' defaults."""
    return SamHQConfig()


def small_sam_hq_config() -> SamHQConfig:
    """The same architecture, small enough for a test to run in milliseconds; images of 64x64."""
    return SamHQConfig(
        vision_config={
            "hidden_size": 16,
            "output_channels": 16,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "image_size": 64,
            "patch_size": 8,
            "window_size": 3,
            "global_attn_indexes": [1, 2],
            "num_pos_feats": 8,
        },
        prompt_encoder_config={"hidden_size": 16, "image_size": 64, "patch_size": 8},
        mask_decoder_config={
            "hidden_size": 16,
            "mlp_dim": 32,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": 16,
            "vit_dim": 16,
        },
    )


def write_sam_hq(folder: Path, config: SamHQConfig, seed: int = 0) -> SamHQModel:
    """Write a SAM-HQ checkpoint with random weights to `folder` and return the model."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = SamHQModel(config).eval()
        scale_masks(model)
        for name, weight in model.vision_encoder.named_parameters():
            if "pos" in name:  # initialised with 0
                nn.init.normal_(weight, std=0.1)
    model.save_pretrained(folder)
    side = config.vision_config.image_size
    SamImageProcessorPil(
        size={"longest_edge": side},
        pad_size={"height": side, "width": side},
        mask_size={"longest_edge": side // 4},
        mask_pad_size={"height": side // 4, "width": side // 4},
    ).save_pretrained(folder)
    return model


def write_published(folder: Path, _words: Sequence[str]) -> None:
    """Write syscv-community/sam-hq-vit-base with random weights."""
    write_sam_hq(folder, published_sam_hq_config())
