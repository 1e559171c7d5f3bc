# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Example images of SAM 3 on random-weight checkpoints, compared with transformers' boxes on the same canvas."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from families import WORDS
from inputs import blots, segment
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import CLIPTokenizer, PreTrainedModel
from transformers.models.sam3 import modeling_sam3
from transformers.models.sam3.modeling_sam3 import Sam3Model
from transformers.models.sam3_lite_text import modeling_sam3_lite_text
from transformers.models.sam3_lite_text.modeling_sam3_lite_text import Sam3LiteTextModel

from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.segmenters.sam3.box_prompts import roi_align
from zs_seg_ros.segmenters.sam3.canvas import ExampleStrip, example_strip
from zs_seg_ros.segmenters.sam3.examples import detect_like
from zs_seg_ros.segmenters.sam3.segmenter import Sam3Segmenter
from zs_seg_ros.segmenters.shared.image_tensors import prepare
from zs_seg_ros.testing.sam3 import small_sam3_config, small_sam3_lite_text_config, write_sam3
from zs_seg_ros.types import RgbImage
from zs_seg_ros.vocabulary.vocabulary import Exemplar, TargetClass, Vocabulary

KINDS = {
    "sam3": (small_sam3_config, Sam3Model, modeling_sam3),
    "sam3_lite_text": (small_sam3_lite_text_config, Sam3LiteTextModel, modeling_sam3_lite_text),
}


def interpolated(features: Tensor, y: float, x: float) -> Tensor:
    """Interpolate features (C, h, w) at a point as torchvision's `roi_align` does: (C,)."""
    height, width = features.shape[1:]
    if y < -1 or y > height or x < -1 or x > width:
        return torch.zeros(len(features))
    y, x = max(y, 0), max(x, 0)
    top, left = int(y), int(x)
    if top >= height - 1:
        top, y = height - 1, float(height - 1)
    if left >= width - 1:
        left, x = width - 1, float(width - 1)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down, aside = y - top, x - left
    upper = (1 - aside) * features[:, top, left] + aside * features[:, top, right]
    lower = (1 - aside) * features[:, bottom, left] + aside * features[:, bottom, right]
    return (1 - down) * upper + down * lower


def torchvision_roi_align(features: Tensor, boxes: list[Tensor], bins: int) -> Tensor:
    """Do as torchvision's `roi_align` with its defaults, point by point."""
    pooled = []
    for image, of_image in zip(features, boxes, strict=True):
        for left, top, right, bottom in of_image.tolist():
            height, width = max(bottom - top, 1.0), max(right - left, 1.0)
            rows, columns = math.ceil(height / bins), math.ceil(width / bins)
            out = torch.zeros(len(image), bins, bins)
            for i in range(bins):
                for j in range(bins):
                    points = [
                        interpolated(
                            image,
                            top + (i + (a + 0.5) / rows) * height / bins,
                            left + (j + (b + 0.5) / columns) * width / bins,
                        )
                        for a in range(rows)
                        for b in range(columns)
                    ]
                    out[:, i, j] = torch.stack(points).mean(dim=0)
            pooled.append(out)
    return torch.stack(pooled)


@dataclass(frozen=True)
class Pair:
    """The segmenter and transformers' own model and tokenizer of one checkpoint."""

    segmenter: Sam3Segmenter
    model: PreTrainedModel
    tokenizer: CLIPTokenizer

    @torch.inference_mode()
    def reference(self, canvas: Tensor, boxes: Tensor) -> Any:
        """Return transformers' outputs for a canvas (3, S, S) with boxes (N, 4) around what is meant."""
        words = self.tokenizer(["visual"], padding="max_length", max_length=32, return_tensors="pt")
        return self.model(pixel_values=canvas[None], input_boxes=boxes[None], **words)


@pytest.fixture(scope="module", params=KINDS)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    config, kind, module = KINDS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    write_sam3(folder, config(), words=WORDS)
    segmenter = load_segmenter(str(folder), LoadOptions(device="cpu"))
    assert isinstance(segmenter, Sam3Segmenter)
    model, tokenizer = kind.from_pretrained(folder).eval(), CLIPTokenizer.from_pretrained(folder)
    ops = SimpleNamespace(roi_align=torchvision_roi_align)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "torchvision", SimpleNamespace(ops=ops), raising=False)
        yield Pair(segmenter, model, tokenizer)


def strip_of(pair: Pair, *examples: Exemplar) -> ExampleStrip:
    vocabulary = Vocabulary().changed_to([TargetClass("part", exemplars=examples)])
    [strip] = pair.segmenter.encode(vocabulary).features.strips
    return strip


def marked(seed: int, size: tuple[int, int], box: tuple[int, int, int, int]) -> Exemplar:
    """Return an example of which a box (left, top, right, bottom) is marked."""
    mask = np.zeros(size, np.bool_)
    left, top, right, bottom = box
    mask[top:bottom, left:right] = True
    return Exemplar(blots(*size, seed=seed), mask)


EXAMPLES = {
    "one": [marked(3, (48, 64), (10, 5, 40, 30))],
    "whole image": [Exemplar(blots(30, 90, seed=4))],
    "three": [
        marked(3, (48, 64), (0, 0, 9, 48)),
        Exemplar(blots(2, 2, seed=1)),
        marked(5, (200, 30), (4, 150, 7, 199)),
    ],
    "eight": [Exemplar(blots(20, 20 + seed, seed=seed)) for seed in range(8)],
}


@pytest.mark.parametrize("examples", EXAMPLES.values(), ids=EXAMPLES)
@torch.inference_mode()
def test_scores_boxes_and_masks_are_those_of_transformers(
    pair: Pair, examples: list[Exemplar]
) -> None:
    strip, network = strip_of(pair, *examples), pair.segmenter.network
    canvas = strip.above(blots(48, 64), pair.segmenter._prepare)
    expected = pair.reference(canvas, strip.boxes)
    [features] = network.encode_images(canvas[None])
    visual = pair.segmenter._encode_prompts(["visual"])[0]
    candidates = detect_like(network, features, strip.boxes, visual)
    scores = expected.pred_logits.sigmoid() * expected.presence_logits.sigmoid()
    torch.testing.assert_close(candidates.scores, scores, rtol=0, atol=1e-4)
    torch.testing.assert_close(candidates.boxes, expected.pred_boxes, rtol=0, atol=1e-4)
    query = torch.arange(candidates.scores.shape[1])
    masks = network.masks(features, candidates, torch.zeros_like(query), query)
    torch.testing.assert_close(masks, expected.pred_masks[0].sigmoid(), rtol=0, atol=1e-4)


@torch.inference_mode()
def test_one_call_of_transformers_with_two_canvases_gives_the_same(pair: Pair) -> None:
    """Two images with two boxes each, whose labels are given."""
    segmenter, network = pair.segmenter, pair.segmenter.network
    first = strip_of(pair, marked(3, (48, 64), (10, 5, 40, 30)), Exemplar(blots(30, 90, seed=4)))
    second = strip_of(pair, Exemplar(blots(70, 20, 8)), marked(5, (200, 30), (4, 150, 7, 199)))
    strips, images = (first, second), (blots(48, 64), blots(120, 31, 6))
    canvases = [
        strip.above(image, segmenter._prepare) for strip, image in zip(strips, images, strict=True)
    ]
    words = pair.tokenizer(["visual"] * 2, padding="max_length", max_length=32, return_tensors="pt")
    expected = pair.model(
        pixel_values=torch.stack(canvases),
        input_boxes=torch.stack([strip.boxes for strip in strips]),
        input_boxes_labels=torch.ones(2, 2, dtype=torch.int64),
        **words,
    )
    scores = expected.pred_logits.sigmoid() * expected.presence_logits.sigmoid()
    visual = segmenter._encode_prompts(["visual"])[0]
    for i, features in enumerate(network.encode_images(torch.stack(canvases))):
        candidates = detect_like(network, features, strips[i].boxes, visual)
        torch.testing.assert_close(candidates.scores[0], scores[i], rtol=0, atol=1e-4)
        torch.testing.assert_close(candidates.boxes[0], expected.pred_boxes[i], rtol=0, atol=1e-4)


@torch.inference_mode()
def test_the_boxes_of_examples_have_an_effect(pair: Pair) -> None:
    """Otherwise the comparison with transformers would say little."""
    strip = strip_of(pair, EXAMPLES["one"][0])
    canvas = strip.above(blots(48, 64), pair.segmenter._prepare)
    moved = strip.boxes + torch.tensor([0.3, 0.0, 0.1, -0.1])
    first, second = (pair.reference(canvas, boxes).pred_logits for boxes in (strip.boxes, moved))
    assert (first - second).abs().max() > 0.05


@pytest.mark.parametrize("size", [(48, 64), (61, 130)], ids=str)
def test_the_objects_are_the_part_below_the_strip(pair: Pair, size: tuple[int, int]) -> None:
    image, example = blots(*size, seed=2), EXAMPLES["one"][0]
    strip = strip_of(pair, example)
    expected = pair.reference(strip.above(image, pair.segmenter._prepare), strip.boxes)
    scores = (expected.pred_logits.sigmoid() * expected.presence_logits.sigmoid())[0]
    centres = expected.pred_boxes[0][:, [1, 3]].mean(dim=1)
    share = 3 / 8  # of 112 pixels, 8 patches, a third in whole patches
    ordered = scores[centres > share].sort(descending=True).values
    cut = 3 + int((ordered[3:8] / ordered[4:9]).argmax())  # no two scores that rounding could swap
    limit = float(ordered[cut : cut + 2].mean())
    chosen = ((scores >= limit) & (centres > share)).nonzero()[:, 0]
    masks = expected.pred_masks[0].sigmoid()[chosen][:, 12:]  # 4 cells a patch
    full = functional.interpolate(masks[None], size, mode="bilinear")[0] > 0.5
    vocabulary = Vocabulary().changed_to([TargetClass("part", exemplars=(example,))])
    [result] = segment(pair.segmenter, vocabulary, image, threshold=limit)
    assert result.instances is not None
    order = scores[chosen].argsort(descending=True)
    visible = [int(i) for i in order if full[i].any()]
    assert len(visible) > 2, len(visible)
    assert [detected.score for detected in result.instances] == pytest.approx(
        scores[chosen][visible].tolist(), abs=1e-4
    )
    for detected, index in zip(result.instances, visible, strict=True):
        mask, box = np.zeros(size, np.bool_), detected.box
        mask[box.top : box.top + box.height, box.left : box.left + box.width] = detected.mask
        # The masks of the class are resized to those of words before they are resized to the image.
        assert (mask == full[index].numpy()).mean() > 0.9


def test_words_and_examples_of_a_class_are_both_searched(pair: Pair) -> None:
    example = EXAMPLES["one"][0]
    target = TargetClass("mug", ("red mug",), exemplars=(example,), negatives=("old ball",))
    features = pair.segmenter.encode(
        Vocabulary().changed_to([TargetClass("duck"), target])
    ).features
    assert len(features.prompts) == 3 and len(features.strips) == 1
    assert features.class_of_prompt == (0, 1, 1, 1)
    assert features.is_negative == (False, False, True, False)


def test_pooled_features_are_those_of_torchvision() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(5, 9, 13, generator=generator)
    boxes = torch.rand(20, 4, generator=generator)
    boxes[0] = torch.tensor([0.5, 0.5, 1.0, 1.0])
    boxes[1] = torch.tensor([0.98, 0.02, 0.01, 0.01])
    boxes[2] = torch.tensor([0.0, 1.0, 0.5, 0.5])
    corners = modeling_sam3.box_cxcywh_to_xyxy(boxes) * torch.tensor([13, 9, 13, 9])
    expected = torchvision_roi_align(features[None], [corners], 7)
    torch.testing.assert_close(roi_align(features, boxes, 7), expected, rtol=0, atol=1e-5)


def raw(image: RgbImage, size: tuple[int, int]) -> Tensor:
    """Resize an image without normalising it."""
    return prepare([image], size, torch.zeros(3), torch.ones(3))[0]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_an_example_is_cut_out_with_its_surroundings_and_its_box_lies_around_it(count: int) -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    image[..., 2] = 255
    image[40:60, 100:130] = (255, 0, 0)
    example = Exemplar(image, image[..., 0] > 0)
    strip = example_strip([example] * count, 112, 14, raw)
    assert strip.pixels.shape == (3, 42, 112) and strip.share == 42 / 112
    for x, y, width, height in (strip.boxes * 112).tolist():
        assert width / height == pytest.approx(30 / 20, rel=0.1)
        columns = slice(round(x - width / 2) + 1, round(x + width / 2) - 1)
        rows = slice(round(y - height / 2) + 1, round(y + height / 2) - 1)
        assert (strip.pixels[0, rows, columns] > 0.9).all()
        assert strip.pixels[2, rows, round(x + width / 2) + 1].min() > 0.9
    red = float((strip.pixels[0] > 0.5).sum())
    areas = (strip.boxes[:, 2] * strip.boxes[:, 3]).sum() * 112 * 112
    assert red == pytest.approx(float(areas), rel=0.15)


def test_the_canvas_has_the_examples_above_and_the_image_below() -> None:
    strip = example_strip([Exemplar(np.full((10, 10, 3), 255, np.uint8))], 112, 14, raw)
    grey: NDArray[np.uint8] = np.full((48, 64, 3), 51, np.uint8)
    canvas = strip.above(grey, raw)
    assert canvas.shape == (3, 112, 112)
    assert (canvas[:, 42:] == 0.2).all()
    assert (canvas[:, :42, :42] == 1).all() and (canvas[:, :42, 42:] == 0).all()
    assert strip.boxes[0].tolist() == pytest.approx([21 / 112, 21 / 112, 42 / 112, 42 / 112])
