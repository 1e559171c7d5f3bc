# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""SAM 2 and EdgeTAM on random-weight checkpoints, written and loaded the way real ones are."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from edgetam_checkpoint import write_small_edgetam
from inputs import boxes_in, noise
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torchvision_stand_in import torchvision_stand_in
from transformers import (
    EdgeTamModel,
    Sam2Model,
)

from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.boxes_then_masks.boxes import BoxSegmenter
from zs_seg_ros.segmenters.boxes_then_masks.sam2 import EdgeTamBoxSegmenter, Sam2BoxSegmenter
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.testing.published import write_published
from zs_seg_ros.testing.sam2 import (
    published_sam2_config,
    small_sam2_config,
    small_sam2_video_config,
    write_preprocessor,
    write_sam2,
)

CPU = LoadOptions(device="cpu")
SIZES = [(48, 64), (64, 64), (37, 90), (300, 211), (5, 200)]


@pytest.fixture(scope="module", params=["sam2", "sam2_video"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    video = request.param == "sam2_video"
    write_sam2(folder, small_sam2_video_config() if video else small_sam2_config(), seed=1)
    assert json.loads((folder / "config.json").read_text())["model_type"] == request.param
    return folder


@pytest.fixture(scope="module")
def segmenter(folder: Path) -> Sam2BoxSegmenter:
    return Sam2BoxSegmenter(str(folder), folder, CPU)


def check_binary(logits: Tensor, masks: Tensor, most: float) -> None:
    """Compare logits (N, h, w), resized as by `decode_instances`, with masks (N, H, W).

    Pixels may differ only at the edge of a mask, where a logit is at most `most` from 0.
    """
    resized = functional.interpolate(logits[None], masks.shape[1:], mode="bilinear")[0]
    assert (resized[(resized > 0) != masks].abs() <= most).all()


def reference(folder: Path, photo: NDArray[np.uint8], boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits (N, h, w) and masks (N, H, W) of transformers' processor, model and post-processing."""
    with torchvision_stand_in():
        from transformers.models.sam2.image_processing_sam2 import Sam2ImageProcessor
        from transformers.models.sam2.processing_sam2 import Sam2Processor

        processor = Sam2Processor(Sam2ImageProcessor.from_pretrained(folder))
        inputs = processor(images=[photo], input_boxes=[boxes.tolist()], return_tensors="pt")
        model = Sam2Model.from_pretrained(folder).eval()
        with torch.inference_mode():
            outputs = model(
                pixel_values=inputs["pixel_values"],
                input_boxes=inputs["input_boxes"],
                multimask_output=False,
            )
        [masks] = processor.post_process_masks(outputs.pred_masks, inputs["original_sizes"])
    return outputs.pred_masks[0, :, 0], masks[:, 0]


def check_equal(expected: tuple[Tensor, Tensor], actual: Tensor) -> None:
    logits, masks = expected
    assert logits.std(dim=0).mean() > 0.05, "all boxes have nearly the same mask"
    assert 0.01 < masks.float().mean() < 0.99
    torch.testing.assert_close(actual, logits, rtol=0, atol=1e-4)
    check_binary(actual, masks, 1e-4)


# -- equal to transformers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[1]}x{size[0]}")
def test_masks_equal_the_reference(
    folder: Path, segmenter: Sam2BoxSegmenter, size: tuple[int, int]
) -> None:
    """Logits, and binary masks at full resolution, of an image model and of a video model."""
    photo, boxes = noise(*size), boxes_in(size)
    [masks] = segmenter.masks([photo], [boxes])
    check_equal(reference(folder, photo, boxes), masks)


def test_masks_of_the_published_shape_equal_the_reference(tmp_path: Path) -> None:
    """facebook/sam2.1-hiera-tiny, one image, two boxes."""
    write_sam2(tmp_path, published_sam2_config())
    photo, boxes = noise(480, 640), boxes_in((480, 640), 2)
    [actual] = Sam2BoxSegmenter("x", tmp_path, CPU).masks([photo], [boxes])
    logits, masks = reference(tmp_path, photo, boxes)
    assert actual.shape == logits.shape == (2, 256, 256)
    most = 1e-4 * max(1.0, float(logits.abs().max()))
    torch.testing.assert_close(actual, logits, rtol=0, atol=most)
    check_binary(actual, masks, most)


# -- each input is encoded once ----------------------------------------------------------------------------


@pytest.fixture
def runs(segmenter: Sam2BoxSegmenter) -> Iterator[list[int]]:
    """One entry for each run of the image encoder."""
    runs: list[int] = []
    encoder = segmenter._network.vision_encoder
    hook = encoder.register_forward_hook(lambda *_: runs.append(1))
    yield runs
    hook.remove()


def test_an_image_is_encoded_once_for_all_boxes(
    segmenter: Sam2BoxSegmenter, runs: list[int]
) -> None:
    [masks] = segmenter.masks([noise(48, 64)], [boxes_in((48, 64), 40)])
    assert masks.shape == (40, 16, 16) and sum(runs) == 1


def test_an_image_without_boxes_is_not_encoded(
    segmenter: Sam2BoxSegmenter, runs: list[int]
) -> None:
    nothing = torch.zeros(0, 4)
    assert [len(masks) for masks in segmenter.masks([noise(48, 64)], [nothing])] == [0]
    assert not runs
    photos, boxes = [noise(9, 9), noise(48, 64), noise(7, 7)], boxes_in((48, 64), 3)
    masks = segmenter.masks(photos, [nothing, boxes, nothing])
    assert [len(masks_of_image) for masks_of_image in masks] == [0, 3, 0] and sum(runs) == 1
    [alone] = segmenter.masks([photos[1]], [boxes])
    torch.testing.assert_close(masks[1], alone, rtol=0, atol=0)


def test_a_box_does_not_depend_on_the_others(segmenter: Sam2BoxSegmenter) -> None:
    photo, boxes = noise(48, 64), boxes_in((48, 64), 9)
    [together] = segmenter.masks([photo], [boxes])
    for box, mask in zip(boxes, together, strict=True):
        [[alone]] = segmenter.masks([photo], [box[None]])
        torch.testing.assert_close(alone, mask, rtol=0, atol=1e-4)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_16_bits_are_close_to_32(folder: Path, segmenter: Sam2BoxSegmenter, precision: str) -> None:
    half = Sam2BoxSegmenter("x", folder, LoadOptions(device="cpu", precision=precision))
    photo, boxes = noise(48, 64), boxes_in((48, 64), 9)
    [[exact], [close]] = (each.masks([photo], [boxes]) for each in (segmenter, half))
    assert close.dtype == torch.float32
    assert ((exact > 0) == (close > 0)).float().mean() > 0.9


# -- EdgeTAM -----------------------------------------------------------------------------------------------


def test_masks_of_edgetam_equal_the_reference(tmp_path: Path) -> None:
    """With a stand-in for the image encoder of timm; all other parts are EdgeTAM's."""
    write_small_edgetam(tmp_path)
    photo, boxes = noise(37, 90), boxes_in((37, 90))
    [actual] = EdgeTamBoxSegmenter("x", tmp_path, CPU).masks([photo], [boxes])
    with torchvision_stand_in():
        from transformers.models.sam2.image_processing_sam2 import Sam2ImageProcessor
        from transformers.models.sam2.processing_sam2 import Sam2Processor

        processor = Sam2Processor(Sam2ImageProcessor.from_pretrained(tmp_path))
        inputs = processor(images=[photo], input_boxes=[boxes.tolist()], return_tensors="pt")
        with torch.inference_mode():
            outputs = EdgeTamModel.from_pretrained(tmp_path).eval()(
                pixel_values=inputs["pixel_values"],
                input_boxes=inputs["input_boxes"],
                multimask_output=False,
            )
        [masks] = processor.post_process_masks(outputs.pred_masks, inputs["original_sizes"])
    check_equal((outputs.pred_masks[0, :, 0], masks[:, 0]), actual)


def test_edgetam_without_timm_names_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    backbone = {"model_type": "timm_wrapper", "architecture": "repvit_m1"}
    config = {"model_type": "edgetam", "vision_config": {"backbone_config": backbone}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        ModelError, match=r"EdgeTAM-hf is of the package timm.*pip install --no-deps timm"
    ):
        EdgeTamBoxSegmenter("yonigozlan/EdgeTAM-hf", tmp_path, CPU)
    with pytest.raises(ModelError, match=r"EdgeTAM is of the package timm.*--no-deps timm"):
        write_published("edgetam", tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is not installed")
def test_the_published_shape_of_edgetam_has_masks_of_random_weights(tmp_path: Path) -> None:
    folder = Path(write_published("edgetam", tmp_path))
    segmenter: BoxSegmenter = EdgeTamBoxSegmenter("x", folder, CPU)
    [masks] = segmenter.masks([noise(48, 64)], [boxes_in((48, 64))])
    assert masks.shape == (len(boxes_in((48, 64))), 256, 256) and masks.isfinite().all()


# -- checkpoints that cannot be used -----------------------------------------------------------------------


def test_a_preprocessor_of_another_size_is_a_model_error(tmp_path: Path) -> None:
    write_sam2(tmp_path, small_sam2_config())
    write_preprocessor(tmp_path, "Sam2ImageProcessorFast", 96)
    with pytest.raises(ModelError, match="images of 96x96 and the model takes 64x64"):
        Sam2BoxSegmenter("x", tmp_path, CPU)


def test_a_checkpoint_without_preprocessor_file_gets_the_published_values(
    tmp_path: Path,
) -> None:
    write_sam2(tmp_path, small_sam2_config())
    photo, boxes = noise(48, 64), boxes_in((48, 64))

    def masks() -> Tensor:
        segmenter: BoxSegmenter = Sam2BoxSegmenter("x", tmp_path, CPU)
        return segmenter.masks([photo], [boxes])[0]

    before = masks()
    (tmp_path / "preprocessor_config.json").unlink()
    torch.testing.assert_close(masks(), before, rtol=0, atol=0)
