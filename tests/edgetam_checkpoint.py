# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""EdgeTAM checkpoints with random weights, and a stand-in for the image encoder, which is one of the package timm."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    EdgeTamConfig,
    EdgeTamVideoConfig,
    EdgeTamVideoModel,
    PreTrainedConfig,
    PreTrainedModel,
)

from zs_seg_ros.testing.edgetam import write_edgetam
from zs_seg_ros.testing.sam2 import (
    scale_masks,
    scale_memory,
    small_memory,
    small_sam2_config,
    small_sam2_memory_config,
    write_preprocessor,
)


class FewLayersConfig(PreTrainedConfig):
    model_type = "few_layers_for_tests"


class FewLayers(PreTrainedModel):
    """A small image encoder in place of timm's: a feature pyramid of four levels."""

    config_class = FewLayersConfig

    def __init__(self, config: FewLayersConfig) -> None:
        super().__init__(config)
        widths = (3, 8, 16, 32, 64)
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, 2 * step, step, padding=step // 2)
            for a, b, step in zip(widths[:-1], widths[1:], (4, 2, 2, 2), strict=True)
        )
        self.post_init()

    def forward(self, pixels: Tensor, **_: object) -> SimpleNamespace:
        levels = []
        for layer in self.layers:
            pixels = layer(pixels).relu()
            levels.append(pixels)
        return SimpleNamespace(last_hidden_state=levels, hidden_states=None)


def write_small_edgetam(folder: Path, seed: int = 1) -> None:
    """Write an EdgeTAM checkpoint with random weights to `folder`, for images of 64x64."""
    write_edgetam(folder, EdgeTamConfig(**_parts(small_sam2_config())), seed)


def write_edgetam_video(folder: Path, seed: int = 1) -> None:
    """Write a checkpoint of EdgeTAM's video model, as yonigozlan/EdgeTAM-hf is one, for images of 64x64."""
    config = EdgeTamVideoConfig(
        **_parts(small_sam2_memory_config()),
        image_size=64,
        **small_memory(cells=4),
        memory_attention_mlp_hidden_size=32,
        memory_attention_rope_k_sizes=[2, 2],
        perceiver_resampler_num_latents=3,
        perceiver_resampler_num_latents_2d=4,
        perceiver_resampler_mlp_intermediate_size=32,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = EdgeTamVideoModel(config).eval()
        scale_masks(model)
        scale_memory(model)
    model.save_pretrained(folder)
    write_preprocessor(folder, "Sam2ImageProcessorFast", 64)


def _parts(like: PreTrainedConfig) -> dict[str, object]:
    """Return the configuration of the parts that EdgeTAM has as a small SAM 2, with the stand-in."""
    AutoConfig.register("few_layers_for_tests", FewLayersConfig, exist_ok=True)
    AutoModel.register(FewLayersConfig, FewLayers, exist_ok=True)
    settings = like.to_dict()
    vision, decoder = settings["vision_config"], settings["mask_decoder_config"]
    shapes = ("backbone_channel_list", "backbone_feature_sizes", "fpn_hidden_size")
    sizes = ("hidden_size", "mlp_dim", "num_attention_heads", "iou_head_hidden_dim")
    return {
        "vision_config": {
            "model_type": "edgetam_vision_model",
            "backbone_config": {"model_type": "few_layers_for_tests"},
            **{key: vision[key] for key in shapes},
        },
        "prompt_encoder_config": {
            key: settings["prompt_encoder_config"][key] for key in ("hidden_size", "image_size")
        },
        "mask_decoder_config": {key: decoder[key] for key in sizes},
    }
