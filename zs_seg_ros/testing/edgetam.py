# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""EdgeTAM checkpoints with random weights. The image encoder is one of the package timm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import EdgeTamConfig, EdgeTamModel, EdgeTamVisionConfig, TimmWrapperConfig

from zs_seg_ros.segmenters.shared.timm_package import require_timm
from zs_seg_ros.testing.sam2 import scale_masks, write_preprocessor


def published_edgetam_config() -> EdgeTamConfig:
    """The shape of yonigozlan/EdgeTAM-hf, without the memory of its video model. Raises ModelError without timm."""
    require_timm("EdgeTAM")
    backbone = TimmWrapperConfig(
        architecture="repvit_m1.dist_in1k",
        model_args={"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
    )
    return EdgeTamConfig(vision_config=EdgeTamVisionConfig(backbone_config=backbone))


def write_edgetam(folder: Path, config: EdgeTamConfig, seed: int = 0) -> None:
    """Write an EdgeTAM checkpoint with random weights to `folder`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = EdgeTamModel(config).eval()
        scale_masks(model)
    model.save_pretrained(folder)
    write_preprocessor(folder, "Sam2ImageProcessorFast", config.prompt_encoder_config.image_size)


def write_published(folder: Path, _words: Sequence[str]) -> None:
    """Write yonigozlan/EdgeTAM-hf with random weights."""
    write_edgetam(folder, published_edgetam_config())
