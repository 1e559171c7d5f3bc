# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""LLMDet in the layout in which iSEE-Laboratory/llmdet_tiny, _base and _large are published, at small widths.

It is MM Grounding DINO with other weights: `model_type` mm-grounding-dino, heads of each decoder layer's own, no
processor_config.json, and in the large one a fifth level of features. The language model that it was trained with is
no part of a checkpoint.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from inputs import detect, noise, segment, words
from matching import check_same_rows, threshold_between
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoModelForZeroShotObjectDetection, BertTokenizer, SwinConfig
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import (
    GroundingDinoImageProcessorPil,
)

from zs_seg_ros.segmenters.boxes_then_masks.grounding_dino import GroundingDinoDetector
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.testing.grounding_dino import small_grounding_dino_config, write_grounding_dino
from zs_seg_ros.testing.sam2 import small_sam2_video_config, write_sam2

WORDS = ("red", "mug", "duck")
EDGES = (64, 96)
LAYOUTS = {
    "tiny": (["stage2", "stage3", "stage4"], [1, 1, 2, 1], 4),
    "base": (["stage2", "stage3", "stage4"], [1, 1, 3, 1], 4),
    "large": (["stage1", "stage2", "stage3", "stage4"], [1, 1, 3, 1], 5),
}


def write_llmdet(folder: Path, size: str) -> None:
    """Write a checkpoint with random weights in the published layout."""
    stages, depths, levels = LAYOUTS[size]
    swin = SwinConfig(
        image_size=64,
        embed_dim=8,
        depths=depths,
        num_heads=[1, 1, 2, 2],
        window_size=4,
        out_features=stages,
    )
    config = small_grounding_dino_config(
        "mm-grounding-dino", backbone_config=swin, num_feature_levels=levels
    )
    write_grounding_dino(folder, config, EDGES, WORDS)
    path = folder / "config.json"
    settings = json.loads(path.read_text())
    assert not (settings["decoder_bbox_embed_share"] or settings["decoder_cls_embed_share"])
    settings.update(torch_dtype="float32", transformers_version="4.56.0.dev0")
    settings.update(
        two_stage_bbox_embed_share=False
    )  # of the original code, which transformers does not read
    path.write_text(json.dumps(settings))
    path = folder / "preprocessor_config.json"
    settings = json.loads(path.read_text())
    settings.update(image_processor_type="GroundingDinoImageProcessor", format="coco_detection")
    settings.update(do_pad=True, do_convert_annotations=True)
    path.write_text(json.dumps(settings))


@pytest.fixture(scope="module", params=LAYOUTS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    write_llmdet(folder, request.param)
    return folder


def load(folder: Path) -> GroundingDinoDetector:
    return GroundingDinoDetector(str(folder), folder, LoadOptions(device="cpu"))


@pytest.mark.parametrize("size", [(40, 50), (64, 80)], ids=str)
def test_boxes_and_scores_are_those_of_transformers(folder: Path, size: tuple[int, int]) -> None:
    photo = noise(*size)
    [every] = detect(load(folder), ("red mug",), photo)
    threshold = threshold_between(every.scores)
    [detected] = detect(load(folder), ("red mug",), photo, threshold=threshold)
    model = AutoModelForZeroShotObjectDetection.from_pretrained(folder).eval()
    assert model.config.num_feature_levels == LAYOUTS[folder.name.rstrip("0123456789")][2]
    images = GroundingDinoImageProcessorPil.from_pretrained(folder)(
        images=[Image.fromarray(photo)], return_tensors="pt"
    )
    tokens = BertTokenizer.from_pretrained(folder)("red mug.", return_tensors="pt")
    with torch.inference_mode():
        outputs = model(**images, **tokens)
    scores = outputs.logits[0, :, 1:3].sigmoid().amax(dim=1)
    reached = scores >= threshold
    centre, extent = outputs.pred_boxes[0, reached].split(2, dim=1)
    scale = torch.tensor([size[1], size[0]] * 2) / max(size)
    corners = torch.cat([centre - extent / 2, centre + extent / 2], dim=1) * scale
    assert 3 < int(reached.sum()) < len(scores) and scores.std() > 0.02
    check_same_rows(
        torch.cat([detected.corners / max(size), detected.scores[:, None]], dim=1),
        torch.cat([corners, scores[reached, None]], dim=1),
        1e-4,
    )


def test_weights_in_bfloat16_and_those_of_the_language_model_do_no_harm(tmp_path: Path) -> None:
    """A checkpoint that was converted with the training's own tensors still loads, and they are not used."""
    write_llmdet(tmp_path, "tiny")
    [expected] = detect(load(tmp_path), ("duck",), noise())
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    tensors["lmm.model.embed_tokens.weight"] = torch.ones(3, 4, dtype=torch.bfloat16)
    save_file(tensors, path, metadata={"format": "pt"})
    [result] = detect(load(tmp_path), ("duck",), noise())
    assert torch.equal(result.scores, expected.scores)


def test_it_segments_with_a_mask_model(folder: Path, tmp_path: Path) -> None:
    write_sam2(tmp_path, small_sam2_video_config(), seed=3)
    segmenter = load_segmenter(f"{folder} + {tmp_path}", LoadOptions(device="cpu"))
    [result] = segment(segmenter, words("red mug", "duck"), noise(48, 64), threshold=0.05)
    assert result.instances
