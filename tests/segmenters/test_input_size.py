# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`inference_size`: the size at which a model segments images, compared with transformers' own computation at it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from edgetam_checkpoint import write_small_edgetam
from families import (
    WORDS,
    write_small_clipseg,
    write_small_dense,
    write_small_grounding_dino_and_sam2,
    write_small_omdet_turbo_and_sam2,
    write_small_owlv2_and_edgetam,
    write_small_owlv2_and_sam2,
    write_small_owlv2_and_sam_hq,
    write_small_sam3,
    write_small_sam3_lite_text,
    write_small_segformer,
    write_small_tipsv2,
)
from inputs import blots, boxes_in, noise, segment, words
from test_tipsv2 import reference_patches
from torch import Tensor, nn
from transformers import (
    AutoModelForZeroShotObjectDetection,
    BertTokenizer,
    CLIPSegForImageSegmentation,
    CLIPTokenizer,
    EdgeTamConfig,
    EdgeTamModel,
    GroundingDinoProcessor,
    Owlv2ForObjectDetection,
    Sam2Config,
    Sam2Model,
    SegformerForSemanticSegmentation,
)
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import (
    GroundingDinoImageProcessorPil,
)
from transformers.models.sam3.configuration_sam3 import Sam3Config
from transformers.models.sam3.modeling_sam3 import Sam3Model

from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.boxes_then_masks.grounding_dino import GroundingDinoDetector
from zs_seg_ros.segmenters.boxes_then_masks.owlv2 import Owlv2Detector
from zs_seg_ros.segmenters.boxes_then_masks.sam2 import EdgeTamBoxSegmenter, Sam2BoxSegmenter
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.segmenters.sam3.network import TextFeatures
from zs_seg_ros.testing.grounding_dino import small_grounding_dino_config, write_grounding_dino
from zs_seg_ros.testing.owlv2 import small_owlv2_config, write_owlv2
from zs_seg_ros.testing.sam2 import small_sam2_config, write_sam2

PROMPTS = ("red mug", "blue car", "duck")


def options(size: int = 0, mask_size: int = 0) -> LoadOptions:
    return LoadOptions(device="cpu", inference_size=size, mask_inference_size=mask_size)


def load(model: str | Path, size: int = 0, mask_size: int = 0) -> Any:
    return load_segmenter(str(model), options(size, mask_size))


@contextmanager
def inputs_of(module: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the first argument of each call of a module within the block."""
    inputs: list[Tensor] = []
    hook = module.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0]))
    try:
        yield inputs
    finally:
        hook.remove()


def assert_equal(actual: Tensor, expected: Tensor) -> None:
    """Compare within 1e-4 values that vary: if all were alike the comparison would mean nothing."""
    assert expected.float().std() > 0.01
    torch.testing.assert_close(actual, expected.view_as(actual), rtol=0, atol=1e-4)


# -- equal to transformers at that size --------------------------------------------------------------------


@pytest.mark.parametrize("side", [32, 80, 144])
def test_clipseg_equals_the_reference_at_any_size_of_whole_patches(
    tmp_path: Path, side: int
) -> None:
    write_small_clipseg(tmp_path)
    segmenter = load(tmp_path, side)
    with inputs_of(segmenter.network.model.clip.vision_model.embeddings) as images:
        segment(segmenter, words(*PROMPTS), blots())
    [pixels] = images
    assert pixels.shape == (1, 3, side, side)
    features = segmenter.encode(words(*PROMPTS)).features.conditional
    model = CLIPSegForImageSegmentation.from_pretrained(tmp_path).eval()
    with torch.inference_mode():
        expected = model(
            pixel_values=pixels.expand(3, -1, -1, -1),
            conditional_embeddings=features,
            interpolate_pos_encoding=True,
        ).logits
    assert_equal(segmenter.logits(pixels, features)[0], expected)


@pytest.mark.parametrize("side", [112, 168, 182])
def test_sam3_equals_the_reference_at_any_size_of_whole_patches(tmp_path: Path, side: int) -> None:
    """The documented way of transformers: an image_size in the configuration with which the model is made."""
    write_small_sam3(tmp_path)
    segmenter = load(tmp_path, side)
    with inputs_of(segmenter.network.model.vision_encoder.backbone.embeddings) as images:
        segment(segmenter, words(*PROMPTS), blots(), threshold=0.3)
    [pixels] = images or [torch.rand(1, 3, side, side)]
    assert pixels.shape == (1, 3, side, side)
    config = Sam3Config.from_pretrained(tmp_path)
    config.image_size = side
    model = Sam3Model.from_pretrained(tmp_path, config=config).eval()
    features, network = segmenter.encode(words(*PROMPTS)).features, segmenter.network
    with torch.inference_mode():
        [image] = network.encode_images(pixels)
        candidates = network.detect(image, TextFeatures.joined(features.prompts))
        prompts, queries = candidates.scores.shape
        prompt = torch.arange(prompts).repeat_interleave(queries)
        masks = network.masks(image, candidates, prompt, torch.arange(queries).repeat(prompts))
        tokenizer = CLIPTokenizer.from_pretrained(tmp_path)
        for row, text in enumerate(PROMPTS):
            tokens = tokenizer(text, padding="max_length", max_length=32, return_tensors="pt")
            expected = model(pixel_values=pixels, **tokens)
            scores = expected.pred_logits.sigmoid() * expected.presence_logits.sigmoid()
            assert_equal(candidates.scores[row], scores)
            assert_equal(candidates.boxes[row], expected.pred_boxes)
            expected_masks = expected.pred_masks[0].sigmoid()
            assert expected_masks.shape[-1] == 4 * side // 14
            assert_equal(masks[row * queries : (row + 1) * queries], expected_masks)


@pytest.mark.parametrize("side", [64, 96, 160])
def test_sam2_equals_the_reference_at_any_multiple_of_32(tmp_path: Path, side: int) -> None:
    write_sam2(tmp_path, small_sam2_config(), seed=1)
    segmenter = Sam2BoxSegmenter("m", tmp_path, options(side))
    config = Sam2Config.from_pretrained(tmp_path)
    set_size(config, side)
    check_masks(segmenter, Sam2Model.from_pretrained(tmp_path, config=config).eval(), side)


def test_edgetam_equals_the_reference_at_another_size(tmp_path: Path) -> None:
    write_small_edgetam(tmp_path)
    segmenter = EdgeTamBoxSegmenter("m", tmp_path, options(96))
    config = EdgeTamConfig.from_pretrained(tmp_path)
    set_size(config, 96)
    check_masks(segmenter, EdgeTamModel.from_pretrained(tmp_path, config=config).eval(), 96)


def set_size(config: Any, side: int) -> None:
    config.prompt_encoder_config.image_size = side
    config.vision_config.backbone_feature_sizes = [[side // stride] * 2 for stride in (4, 8, 16)]


def check_masks(segmenter: Sam2BoxSegmenter, model: Any, side: int) -> None:
    photo, boxes = noise(37, 90), boxes_in((37, 90))
    with inputs_of(segmenter._network.vision_encoder) as images:
        [masks] = segmenter.masks([photo], [boxes])
    [pixels] = images
    assert pixels.shape == (1, 3, side, side)
    scaled = boxes * torch.tensor([side / 90, side / 37] * 2)
    with torch.inference_mode():
        expected = model(
            pixel_values=pixels, input_boxes=scaled[None], multimask_output=False
        ).pred_masks[0, :, 0]
    assert masks.shape[-1] == side // 4
    assert_equal(masks, expected)


@pytest.mark.parametrize("side", [16, 48, 120])
def test_owlv2_equals_the_reference_with_interpolated_positions(tmp_path: Path, side: int) -> None:
    write_owlv2(tmp_path, small_owlv2_config(), words=WORDS, seed=1)
    detector = Owlv2Detector("m", tmp_path, options(side))
    encoded = detector.encode(PROMPTS)
    with inputs_of(detector._network.owlv2.vision_model.embeddings) as images:
        scores, boxes = detector.scores_and_boxes([blots(50, 70)], encoded)
    [pixels] = images
    assert pixels.shape == (1, 3, side, side)
    tokens = CLIPTokenizer.from_pretrained(tmp_path)(
        list(PROMPTS), padding="max_length", return_tensors="pt"
    )
    model = Owlv2ForObjectDetection.from_pretrained(tmp_path).eval()
    with torch.inference_mode():
        expected = model(pixel_values=pixels, interpolate_pos_encoding=True, **tokens)
    assert_equal(scores, expected.logits.sigmoid())
    assert_equal(boxes, expected.pred_boxes)


@pytest.mark.parametrize("side", [32, 75, 200])
def test_segformer_equals_the_reference_at_any_size(tmp_path: Path, side: int) -> None:
    write_small_segformer(tmp_path)
    segmenter = load(tmp_path, side)
    with inputs_of(segmenter.network) as images:
        segment(segmenter, words("wall", "table"), blots())
    [pixels] = images
    assert pixels.shape == (1, 3, side, side)
    model = SegformerForSemanticSegmentation.from_pretrained(tmp_path).eval()
    with torch.inference_mode():
        expected = model(pixels).logits
    assert_equal(segmenter.logits(pixels), expected)


@pytest.mark.parametrize("side", [28, 84, 140])
def test_tipsv2_equals_the_reference_at_any_size_of_whole_patches(
    tmp_path: Path, side: int
) -> None:
    write_small_tipsv2(tmp_path)
    segmenter = load(tmp_path, side)
    with inputs_of(segmenter.network.vision_model.embeddings) as images:
        segment(segmenter, words(*PROMPTS), blots())
    [pixels] = images
    assert pixels.shape == (1, 3, side, side)
    patches = segmenter.patches(pixels)
    assert patches.shape == (1, side // 14, side // 14, 32)
    assert_equal(patches.flatten(0, 2), reference_patches(tmp_path, pixels))


@pytest.mark.parametrize("kind", ["grounding-dino", "mm-grounding-dino"])
@pytest.mark.parametrize(
    ("size", "side", "prepared"),
    [((40, 50), 96, (96, 120)), ((40, 400), 90, (14, 135)), ((300, 200), 32, (48, 32))],
)
def test_grounding_dino_equals_the_reference_with_another_short_side(
    tmp_path: Path, kind: str, size: tuple[int, int], side: int, prepared: tuple[int, int]
) -> None:
    """The limit of the long side keeps its ratio to the short one, here 64 to 96."""
    write_grounding_dino(tmp_path, small_grounding_dino_config(kind), (64, 96), words=WORDS)
    detector = GroundingDinoDetector("m", tmp_path, options(side))
    photo = blots(*size)
    assert detector._format.size_of(photo) == prepared
    pixels = detector._format.prepare([photo], prepared, torch.device("cpu"), torch.float32)
    processor = GroundingDinoProcessor(
        GroundingDinoImageProcessorPil.from_pretrained(tmp_path),
        BertTokenizer.from_pretrained(tmp_path),
    )
    resize = {"size": {"shortest_edge": side, "longest_edge": side * 96 // 64}}
    inputs = processor(images=photo, text=[["duck"]], images_kwargs=resize, return_tensors="pt")
    assert inputs["pixel_values"].shape == pixels.shape
    inputs["pixel_values"] = pixels
    model = AutoModelForZeroShotObjectDetection.from_pretrained(tmp_path).eval()
    [caption] = detector.encode(["duck"])
    with torch.inference_mode():
        expected = model(**inputs)
        logits, boxes = detector.logits_and_boxes(detector.encode_images(pixels), caption)
    count = logits.shape[-1]
    assert_equal(logits[..., 1:2], expected.logits[..., :count][..., 1:2])
    assert_equal(boxes, expected.pred_boxes)


# -- the built-in model ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "side", "prepared"),
    [
        ((480, 640), 160, (160, 208)),
        ((720, 1280), 208, (208, 368)),
        ((1280, 720), 96, (176, 96)),
        ((50, 5000), 64, (64, 256)),
    ],
)
def test_the_dense_model_keeps_the_proportions_of_the_image(
    tmp_path: Path, size: tuple[int, int], side: int, prepared: tuple[int, int]
) -> None:
    """Sides are multiples of 16, and the long side is at most four times the short one."""
    write_small_dense(tmp_path)
    segmenter = load(tmp_path, side)
    with inputs_of(segmenter._image) as images:
        [result] = segment(segmenter, words("red mug"), noise(*size))
    assert images[0].shape == (1, 3, *prepared)
    assert result.label.shape == size


# -- sizes that a model cannot take ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("write", "size", "possible"),
    [
        (write_small_clipseg, 100, "a multiple of 16 from 32 to 256, or 0 for its own size of 64"),
        (write_small_clipseg, 272, "a multiple of 16 from 32 to 256"),
        (write_small_clipseg, 16, "a multiple of 16 from 32 to 256"),
        (write_small_sam3, 120, "a multiple of 14 from 112 to 448, or 0 for its own size of 112"),
        (write_small_sam3_lite_text, 98, "a multiple of 14 from 112 to 448"),
        (write_small_segformer, 31, "a whole number from 32 to 256, or 0 for its own size of 64"),
        (write_small_tipsv2, 60, "a multiple of 14 from 28 to 224, or 0 for its own size of 56"),
        (write_small_dense, 250, "a multiple of 16 from 32 to 960, or 0 for its own size of 240"),
        (write_small_owlv2_and_sam2, 63, "a multiple of 8 from 16 to 256"),
        (write_small_grounding_dino_and_sam2, 300, "a whole number from 32 to 256"),
    ],
)
def test_a_size_that_a_model_cannot_take_is_refused_with_those_that_it_can(
    tmp_path: Path, write: Any, size: int, possible: str
) -> None:
    model = write(tmp_path)
    with pytest.raises(ModelError) as refused:
        load(model, size)
    text = str(refused.value)
    assert "\n" not in text and f"at {size} pixels" in text and possible in text
    assert text.startswith(model.split(" + ")[0])


@pytest.mark.parametrize(
    "write", [write_small_owlv2_and_sam2, write_small_owlv2_and_edgetam], ids=["sam2", "edgetam"]
)
def test_a_size_that_a_mask_model_cannot_take_is_refused_with_those_that_it_can(
    tmp_path: Path, write: Any
) -> None:
    model = write(tmp_path)
    with pytest.raises(ModelError, match=r"at 100 pixels.*a multiple of 32 from 64 to 256") as no:
        load(model, 48, 100)
    assert str(no.value).startswith(model.split(" + ")[1])


def test_the_own_size_of_a_model_can_be_named(tmp_path: Path) -> None:
    model = write_small_clipseg(tmp_path)
    image, vocabulary = blots(), words(*PROMPTS)
    [first], [second] = (segment(load(model, size), vocabulary, image) for size in (0, 64))
    assert np.array_equal(first.confidence, second.confidence)


@pytest.mark.parametrize(
    ("write", "sizes", "named"),
    [
        (write_small_omdet_turbo_and_sam2, (96, 0), 0),
        (write_small_owlv2_and_sam_hq, (48, 96), 1),
    ],
    ids=["omdet-turbo", "sam_hq"],
)
def test_a_family_of_one_size_is_refused_another(
    tmp_path: Path, write: Any, sizes: tuple[int, int], named: int
) -> None:
    model = write(tmp_path)
    with pytest.raises(ModelError, match=r"at its own size only.*give 0") as no:
        load(model, *sizes)
    assert str(no.value).startswith(model.split(" + ")[named])


def test_the_fake_model_has_no_size() -> None:
    with pytest.raises(ModelError, match="fake segments images at its own size only"):
        load("fake", 320)


# -- pairs -------------------------------------------------------------------------------------------------


def test_each_model_of_a_pair_has_its_own_size(tmp_path: Path) -> None:
    segmenter = load(write_small_owlv2_and_sam2(tmp_path), 48, 96)
    vision = segmenter.detector._network.owlv2.vision_model.embeddings
    masks = segmenter.box_segmenter._network.vision_encoder
    with inputs_of(vision) as detected, inputs_of(masks) as segmented:
        [result] = segment(segmenter, words(*PROMPTS), blots(), threshold=0.3)
    assert detected[0].shape[-1] == 48 and segmented[0].shape[-1] == 96
    assert result.label.shape == (48, 64) and result.label.any()


def test_the_size_of_a_detector_leaves_the_mask_model_at_its_own(tmp_path: Path) -> None:
    segmenter = load(write_small_owlv2_and_sam_hq(tmp_path), 48)
    with inputs_of(segmenter.detector._network.owlv2.vision_model.embeddings) as detected:
        segment(segmenter, words(*PROMPTS), blots(), threshold=0.3)
    assert detected[0].shape[-1] == 48


def test_a_size_of_masks_for_a_single_model_is_refused(tmp_path: Path) -> None:
    model = write_small_clipseg(tmp_path)
    with pytest.raises(ModelError, match=r"is one model.*give the size as inference_size"):
        load(model, 0, 96)
