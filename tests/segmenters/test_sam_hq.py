# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""SAM-HQ on random-weight checkpoints, written and loaded the way real ones are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from inputs import boxes_in, noise
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torchvision_stand_in import torchvision_stand_in
from transformers import SamHQModel, SamHQProcessor
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.boxes_then_masks.sam_hq import SamHqBoxSegmenter
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.testing.sam_hq import published_sam_hq_config, small_sam_hq_config, write_sam_hq

CPU = LoadOptions(device="cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sam_hq")
    write_sam_hq(folder, small_sam_hq_config(), seed=1)
    return folder


@pytest.fixture(scope="module")
def segmenter(folder: Path) -> SamHqBoxSegmenter:
    return SamHqBoxSegmenter(str(folder), folder, CPU)


def reference(folder: Path, photo: NDArray[np.uint8], boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits and masks (N, H, W) of transformers' processor, model and post-processing."""
    with torchvision_stand_in():
        from transformers.models.sam.image_processing_sam import SamImageProcessor

        processor = SamHQProcessor(SamImageProcessor.from_pretrained(folder))
        model = SamHQModel.from_pretrained(folder).eval()
        inputs = processor(images=[photo], input_boxes=[boxes.tolist()], return_tensors="pt")
        with torch.inference_mode():
            outputs = model(
                pixel_values=inputs["pixel_values"],
                input_boxes=inputs["input_boxes"].float(),
                multimask_output=False,
            )
        sizes = inputs["original_sizes"], inputs["reshaped_input_sizes"]
        [[logits], [masks]] = (
            processor.post_process_masks(outputs.pred_masks, *sizes, binarize=binarize)
            for binarize in (False, True)
        )
    return logits[:, 0], masks[:, 0]


def check_equal(folder: Path, segmenter: SamHqBoxSegmenter, size: tuple[int, int]) -> Tensor:
    """Compare the logits and masks of an image of `size`; returns the reference's masks (N, H, W)."""
    photo, boxes = noise(*size), boxes_in(size)
    logits, masks = reference(folder, photo, boxes)
    [actual] = segmenter.masks([photo], [boxes])
    actual = functional.interpolate(actual[None], size, mode="bilinear")[0]
    most = 1e-4 * max(1, float(logits.abs().max()))
    torch.testing.assert_close(actual, logits, rtol=0, atol=most)
    assert (actual[(actual > 0) != masks].abs() <= most).all(), "masks differ beyond their edges"
    return masks


@pytest.mark.parametrize("size", [(64, 64), (48, 64), (30, 41), (211, 300), (5, 60)])
def test_masks_equal_the_reference(
    folder: Path, segmenter: SamHqBoxSegmenter, size: tuple[int, int]
) -> None:
    """Logits and binary masks at full resolution, after the padding is cut off."""
    masks = check_equal(folder, segmenter, size)
    assert 0.01 < masks.float().mean() < 0.99
    assert masks.float().std(dim=0).max() > 0, "all boxes have one mask"


def test_masks_of_the_published_shape_equal_the_reference(tmp_path: Path) -> None:
    """syscv-community/sam-hq-vit-base with two of its twelve layers, one of them with windows."""
    config = published_sam_hq_config()
    config.vision_config.num_hidden_layers = 2
    config.vision_config.global_attn_indexes = [1]
    write_sam_hq(tmp_path, config)
    check_equal(tmp_path, SamHqBoxSegmenter("x", tmp_path, CPU), (768, 1024))


def test_an_image_is_encoded_once_and_only_for_boxes(segmenter: SamHqBoxSegmenter) -> None:
    runs: list[int] = []
    encoder = segmenter._network.vision_encoder
    hook = encoder.register_forward_hook(lambda *_: runs.append(1))
    nothing = torch.zeros(0, 4)
    masks = segmenter.masks([noise(9, 9), noise(48, 64)], [nothing, boxes_in((48, 64), 40)])
    hook.remove()
    assert [len(masks_of_image) for masks_of_image in masks] == [0, 40] and len(runs) == 1


def test_a_preprocessor_of_another_size_is_a_model_error(tmp_path: Path) -> None:
    write_sam_hq(tmp_path, small_sam_hq_config())
    square = {"height": 96, "width": 96}
    SamImageProcessorPil(size={"longest_edge": 96}, pad_size=square).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="images of 96x96 and the model takes 64x64"):
        SamHqBoxSegmenter("x", tmp_path, CPU)
