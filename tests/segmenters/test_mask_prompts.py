# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Points and boxes as prompts: what all families have in common, and the equality with transformers' own steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from edgetam_checkpoint import write_small_edgetam
from families import FAMILIES, Family
from inputs import blots, noise
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.nn.modules.module import register_module_forward_hook
from torchvision_stand_in import torchvision_stand_in
from transformers import EdgeTamModel, Sam2Model, SamHQModel, SamHQProcessor
from transformers.models.sam3_tracker.modeling_sam3_tracker import Sam3TrackerModel
from transformers.models.sam3_video.modeling_sam3_video import Sam3VideoModel

from zs_seg_ros.errors import MaskPromptError, ModelError
from zs_seg_ros.perception.marked_objects import segment_everything, segment_marked
from zs_seg_ros.segmenters.base import Segmenter
from zs_seg_ros.segmenters.boxes_then_masks.boxes import BoxSegmenter
from zs_seg_ros.segmenters.boxes_then_masks.sam2 import EdgeTamBoxSegmenter, Sam2BoxSegmenter
from zs_seg_ros.segmenters.boxes_then_masks.sam_hq import SamHqBoxSegmenter
from zs_seg_ros.segmenters.boxes_then_masks.segmenter import BoxesThenMasks
from zs_seg_ros.segmenters.deadline import masks_too_late, time_limit
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.mask_prompts import MarkedPoint, MaskPrompt, mask_prompter_of
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.segmenters.sam3.tracker import Sam3VideoSegmenter
from zs_seg_ros.segmenters.shared import all_masks as everything
from zs_seg_ros.segmenters.shared.prompted_masks import (
    PromptBatch,
    PromptedNetwork,
    full_resolution,
    masks_of_prompts,
)
from zs_seg_ros.testing.sam2 import small_sam2_config, write_sam2
from zs_seg_ros.testing.sam3 import small_sam3_video_config, write_sam3
from zs_seg_ros.testing.sam_hq import small_sam_hq_config, write_sam_hq
from zs_seg_ros.types import Box, DetectedObject, size_of

CPU = LoadOptions(device="cpu")
SIZE = (48, 80)
POINT = MaskPrompt((MarkedPoint(20.5, 30.25),))
TWO_POINTS = MaskPrompt((MarkedPoint(20.5, 30.25), MarkedPoint(60, 8, outside=True)))
BOX = MaskPrompt(box=Box(10, 5, 40, 30))
BOTH = MaskPrompt((MarkedPoint(30, 20), MarkedPoint(12, 7, outside=True)), Box(10, 5, 40, 30))
CORNERS = tuple(
    MaskPrompt((MarkedPoint(x, y),)) for x, y in ((0, 0), (79.99, 0), (0, 47.99), (79.5, 47.5))
)
PROMPTS = (POINT, BOX, TWO_POINTS, BOTH, MaskPrompt((MarkedPoint(70, 40),)), *CORNERS)
KINDS = ("sam2", "edgetam", "sam_hq", "sam3")


def whole_mask(detected: DetectedObject, size: tuple[int, int]) -> NDArray[np.bool_]:
    mask, box = np.zeros(size, bool), detected.box
    mask[box.top : box.top + box.height, box.left : box.left + box.width] = detected.mask
    return mask


# -- all families ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=FAMILIES, ids=lambda family: family.name)
def loaded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Family, Segmenter]:
    family: Family = request.param
    return family, load_segmenter(family.write(tmp_path_factory.mktemp(family.name)), CPU)


def test_a_family_takes_points_and_boxes_or_names_those_that_do(
    loaded: tuple[Family, Segmenter],
) -> None:
    family, segmenter = loaded
    if not family.mask_prompts:
        with pytest.raises(
            ModelError, match=r"takes no points and boxes.*SAM 2, EdgeTAM or SAM-HQ"
        ):
            mask_prompter_of(segmenter)
        return
    objects = mask_prompter_of(segmenter).masks_of_prompts(blots(*SIZE), PROMPTS)
    assert len(objects) == len(PROMPTS)
    for detected in objects:
        assert detected.class_id == 0 and 0 <= detected.score <= 1
        mask = whole_mask(detected, SIZE)
        assert detected.area == mask.sum()
        if detected.area:
            assert detected.mask.any(axis=0)[[0, -1]].all()
            assert detected.mask.any(axis=1)[[0, -1]].all()


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (37, 90), (300, 211)], ids=str)
def test_images_of_any_size_can_be_marked(
    loaded: tuple[Family, Segmenter], size: tuple[int, int]
) -> None:
    family, segmenter = loaded
    if family.mask_prompts:
        box = MaskPrompt(box=Box(0, 0, size[1], size[0]))
        prompts = (MaskPrompt((MarkedPoint(size[1] - 0.5, size[0] - 0.5),)), box)
        objects = mask_prompter_of(segmenter).masks_of_prompts(blots(*size), prompts)
        assert [whole_mask(each, size).shape for each in objects] == [size, size]


def test_a_mask_model_that_takes_boxes_alone_refuses_points(tmp_path: Path) -> None:
    class BoxesAlone(BoxSegmenter):
        def masks(self, images: object, boxes: object) -> list[Tensor]:
            return []

    family = next(family for family in FAMILIES if family.name == "owlv2+sam2")
    pair = load_segmenter(family.write(tmp_path), CPU)
    assert isinstance(pair, BoxesThenMasks)
    pair.box_segmenter = BoxesAlone()
    with pytest.raises(ModelError, match="takes no points and boxes"):
        pair.masks_of_prompts(blots(), (POINT,))
    with pytest.raises(ModelError, match="takes no points and boxes"):
        pair.all_masks(blots(), 1, 10)


# -- equal to transformers ---------------------------------------------------------------------------------


class Loaded:
    """A mask model, and transformers' own processor and model on the same checkpoint."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.folder = kind, folder
        self.network: PromptedNetwork
        if kind == "sam_hq":
            write_sam_hq(folder, small_sam_hq_config(), seed=1)
            self.network = SamHqBoxSegmenter("x", folder, CPU)
            self.model = SamHQModel.from_pretrained(folder).eval()
        elif kind == "edgetam":
            write_small_edgetam(folder)
            self.network = EdgeTamBoxSegmenter("x", folder, CPU)
            self.model = EdgeTamModel.from_pretrained(folder).eval()
        elif kind == "sam3":
            write_sam3(folder, small_sam3_video_config())
            self.network = Sam3VideoSegmenter("x", folder, CPU)._prompted_network()
            self.model = Sam3TrackerModel.from_pretrained(folder).eval()
        else:
            write_sam2(folder, small_sam2_config(), seed=1)
            self.network = Sam2BoxSegmenter("x", folder, CPU)
            self.model = Sam2Model.from_pretrained(folder).eval()

    @torch.inference_mode()
    def reference(
        self, image: NDArray[np.uint8], prompt: MaskPrompt, several: bool
    ) -> tuple[Tensor, Tensor]:
        """Return full-resolution logits (M, H, W) and predicted IoUs (M,) of one prompt, by transformers."""
        points = [[point.x - 0.5, point.y - 0.5] for point in prompt.points]
        given: dict[str, object] = {}
        if points:
            given["input_points"] = [[points]]
            given["input_labels"] = [[[int(not point.outside) for point in prompt.points]]]
        if box := prompt.box:
            corners = [box.left, box.top, box.left + box.width, box.top + box.height]
            given["input_boxes"] = [[list(map(float, corners))]]
        with torchvision_stand_in():
            from transformers.models.sam.image_processing_sam import SamImageProcessor
            from transformers.models.sam2.image_processing_sam2 import Sam2ImageProcessor
            from transformers.models.sam2.processing_sam2 import Sam2Processor

            if self.kind == "sam3":
                processor = self._processor_of_sam3()
            elif self.kind == "sam_hq":
                processor = SamHQProcessor(SamImageProcessor.from_pretrained(self.folder))
            else:
                processor = Sam2Processor(Sam2ImageProcessor.from_pretrained(self.folder))
            inputs = processor(images=[image], return_tensors="pt", **given)
            sizes = [
                inputs.pop(name)
                for name in ("original_sizes", "reshaped_input_sizes")
                if name in inputs
            ]
            for name in ("input_points", "input_boxes"):
                if name in inputs:
                    inputs[name] = inputs[name].float()
            if self.kind == "sam3":
                inputs["image_embeddings"] = self._levels_of_sam3(inputs.pop("pixel_values"))
            outputs = self.model(**inputs, multimask_output=several)
            [logits] = processor.post_process_masks(outputs.pred_masks, *sizes, binarize=False)
        return logits[0], outputs.iou_scores[0, 0]

    @torch.inference_mode()
    def reference_of_two(
        self, images: Sequence[NDArray[np.uint8]], prompts: Sequence[Sequence[MaskPrompt]]
    ) -> tuple[list[Tensor], Tensor]:
        """Return logits (N, 1, H, W) of each of two images and IoUs (2, N, 1), of one call with all marks of both."""
        given: dict[str, object] = {}
        if prompts[0][0].points:
            given["input_points"] = [
                [[[p.x - 0.5, p.y - 0.5] for p in each.points] for each in of] for of in prompts
            ]
            given["input_labels"] = [
                [[int(not p.outside) for p in each.points] for each in of] for of in prompts
            ]
        if prompts[0][0].box:
            boxes = [[each.box for each in of if each.box] for of in prompts]
            given["input_boxes"] = [
                [
                    [float(v) for v in (b.left, b.top, b.left + b.width, b.top + b.height)]
                    for b in of
                ]
                for of in boxes
            ]
        with torchvision_stand_in():
            from transformers.models.sam.image_processing_sam import SamImageProcessor
            from transformers.models.sam2.image_processing_sam2 import Sam2ImageProcessor
            from transformers.models.sam2.processing_sam2 import Sam2Processor

            processor: Any
            if self.kind == "sam_hq":
                processor = SamHQProcessor(SamImageProcessor.from_pretrained(self.folder))
            else:
                processor = Sam2Processor(Sam2ImageProcessor.from_pretrained(self.folder))
            inputs = processor(images=[*images], return_tensors="pt", **given)
            names = ("original_sizes", "reshaped_input_sizes")
            sizes = [inputs.pop(name) for name in names if name in inputs]
            for name in ("input_points", "input_boxes"):
                if name in inputs:
                    inputs[name] = inputs[name].float()
            outputs = self.model(**inputs, multimask_output=False)
            logits = processor.post_process_masks(outputs.pred_masks, *sizes, binarize=False)
        return logits, outputs.iou_scores

    def _processor_of_sam3(self) -> Any:
        from transformers.models.sam3.image_processing_sam3 import Sam3ImageProcessor
        from transformers.models.sam3_tracker.processing_sam3_tracker import Sam3TrackerProcessor

        return Sam3TrackerProcessor(Sam3ImageProcessor.from_pretrained(self.folder))

    def _levels_of_sam3(self, pixels: Tensor) -> list[Tensor]:
        """Return the feature pyramid as transformers' video model makes it, for an image without memory."""
        video = Sam3VideoModel.from_pretrained(self.folder).eval()
        vision = video.detector_model.get_vision_features(pixel_values=pixels)
        levels, _ = video.get_vision_features_for_tracker(vision)
        levels[-1] = levels[-1] + video.tracker_model.no_memory_embedding
        assert video.tracker_model.no_memory_embedding.abs().mean() > 0.1
        return [
            level.permute(1, 2, 0).view(1, -1, *size)
            for level, size in zip(levels, self.model.backbone_feature_sizes, strict=True)
        ]


@pytest.fixture(scope="module", params=KINDS)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return Loaded(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("prompt", PROMPTS, ids=str)
def test_logits_and_predicted_ious_equal_the_reference(
    both: Loaded, prompt: MaskPrompt, several: bool
) -> None:
    image = noise(*SIZE)
    features = both.network.encode_image(image)
    logits, scores = both.network.decode_prompts(
        features, SIZE, PromptBatch.of([prompt]), several=several
    )
    expected, expected_scores = both.reference(image, prompt, several)
    actual = functional.interpolate(logits, SIZE, mode="bilinear")[0]
    most = 1e-4 * max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(actual, expected, rtol=0, atol=most)
    torch.testing.assert_close(scores[0], expected_scores, rtol=0, atol=1e-4)


MARKS_OF_TWO = {
    "points in and out": (
        [
            [((5.0, 7.25), (60.5, 30.0, True)), ((79.9, 47.9), (0.0, 0.0, True))],
            [((0.0, 90.5), (3.0, 3.0, True)), ((20.0, 20.0), (20.0, 21.0, True))],
        ],
        None,
    ),
    "boxes": (None, [[Box(0, 0, 1, 1), Box(4, 5, 70, 40)], [Box(30, 90, 1, 1), Box(0, 0, 31, 91)]]),
    "boxes with a point to leave out": (
        [[((40.0, 20.0, True),), ((7.0, 6.0, True),)], [((9.0, 80.0, True),), ((1.0, 1.0, True),)]],
        [[Box(0, 0, 80, 48), Box(4, 5, 70, 40)], [Box(3, 50, 20, 41), Box(0, 0, 31, 91)]],
    ),
}


@pytest.mark.parametrize("kind", ["sam2", "edgetam", "sam_hq"])
def test_one_call_of_transformers_with_marks_in_two_images_gives_the_same(
    kind: str, tmp_path: Path
) -> None:
    """Images of two sizes, several marks in each, negative points and boxes of one pixel."""
    loaded, images = Loaded(kind, tmp_path), [noise(48, 80, 3), noise(91, 31, 4)]
    for points, boxes in MARKS_OF_TWO.values():
        prompts = [
            [
                MaskPrompt(
                    () if points is None else tuple(MarkedPoint(*p) for p in points[image][mark]),
                    box=None if boxes is None else boxes[image][mark],
                )
                for mark in range(2)
            ]
            for image in range(2)
        ]
        expected, expected_scores = loaded.reference_of_two(images, prompts)
        for i, image in enumerate(images):
            features = loaded.network.encode_image(image)
            batch = PromptBatch.of(prompts[i])
            logits, scores = loaded.network.decode_prompts(
                features, size_of(image), batch, several=False
            )
            actual = functional.interpolate(logits, size_of(image), mode="bilinear")
            most = 1e-4 * max(1.0, float(expected[i].abs().max()))
            torch.testing.assert_close(actual, expected[i], rtol=0, atol=most)
            torch.testing.assert_close(scores, expected_scores[i], rtol=0, atol=1e-4)


def test_masks_equal_the_reference_with_the_best_of_several_for_one_point(both: Loaded) -> None:
    image = noise(*SIZE)
    objects = masks_of_prompts(both.network, image, PROMPTS)
    masks = []
    for prompt, detected in zip(PROMPTS, objects, strict=True):
        ambiguous = len(prompt.points) == 1 and prompt.box is None
        logits, scores = both.reference(image, prompt, ambiguous)
        best = int(scores.argmax())
        expected = logits[best].numpy()
        mask = whole_mask(detected, SIZE)
        most = 1e-4 * max(1.0, float(np.abs(expected).max()))
        assert (np.abs(expected[mask != (expected > 0)]) <= most).all()
        assert detected.score == pytest.approx(float(scores[best].clamp(0, 1)), abs=1e-4)
        masks.append(mask)
    assert np.std(masks, axis=0).max() > 0, "all prompts have one mask"


def test_an_image_is_encoded_once_for_all_prompts_and_everything(
    both: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[int] = []
    encoder = both.network._network.vision_encoder  # type: ignore[attr-defined]
    encoder = getattr(encoder, "backbone", encoder)  # SAM 3's tracker shares this part alone
    hook = encoder.register_forward_hook(lambda *_: runs.append(1))
    many = [replace(POINT, points=(MarkedPoint(x, 3),)) for x in range(40)]
    assert len(masks_of_prompts(both.network, noise(*SIZE), many)) == 40 and len(runs) == 1
    assert masks_of_prompts(both.network, noise(*SIZE), ()) == () and len(runs) == 1
    monkeypatch.setattr(everything, "POINTS_PER_SIDE", 4)
    everything.all_masks(both.network, noise(*SIZE), 1, 10)
    hook.remove()
    assert len(runs) == 2


def test_a_prompt_does_not_depend_on_the_others(both: Loaded) -> None:
    together = masks_of_prompts(both.network, noise(*SIZE), PROMPTS)
    for prompt, detected in zip(PROMPTS, together, strict=True):
        [alone] = masks_of_prompts(both.network, noise(*SIZE), [prompt])
        differing = whole_mask(alone, SIZE) != whole_mask(detected, SIZE)
        assert differing.mean() < 0.002 and alone.score == pytest.approx(detected.score, abs=1e-4)


_MOST_OVERLAP = 1.0
"""Of boxes: nothing is suppressed, since the boxes of random masks all cover the whole image."""


# -- everything --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("thresholds", [(0.3, 0.3), (0.4, 0.5)], ids=str)
def test_everything_equals_the_filters_of_transformers(
    both: Loaded, thresholds: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same grid, filters and suppression, each by transformers' functions or written out; random weights."""
    from transformers.models.sam.image_processing_pil_sam import (
        SamImageProcessorPil,
        _batched_mask_to_box,
        _build_point_grid,
    )

    image, side = noise(*SIZE), 8
    features = both.network.encode_image(image)
    points = torch.from_numpy(_build_point_grid(side) * np.array(SIZE[::-1])).float() + 0.5
    logits, scores = both.network.decode_prompts(
        features, SIZE, PromptBatch.of_points(points), several=True
    )
    # So that some of a random network's masks pass: thresholds at shares of what there is.
    # transformers filters by thresholds above 0 alone, and random SAM-HQ predicts negative IoUs, too.
    least_iou = max(1e-3, _between(scores, thresholds[0]))
    full = functional.interpolate(logits, SIZE, mode="bilinear")
    stability = (full > 1).sum((2, 3)) / (full > -1).sum((2, 3)).clamp(min=1)
    least_stability = _between(stability, thresholds[1])
    monkeypatch.setattr(everything, "POINTS_PER_SIDE", side)
    monkeypatch.setattr(everything, "_LEAST_PREDICTED_IOU", least_iou)
    monkeypatch.setattr(everything, "_LEAST_STABILITY", least_stability)
    monkeypatch.setattr(everything, "_MOST_OVERLAP", _MOST_OVERLAP)

    whole_image = np.array([0, 0, SIZE[1], SIZE[0]], np.float32)
    runs, kept_scores, _ = SamImageProcessorPil().filter_masks(
        full, scores, SIZE, whole_image, least_iou, least_stability
    )
    masks = torch.from_numpy(np.stack([_mask_of(each) for each in runs]))
    order = kept_scores.argsort(descending=True, stable=True)
    corners = _batched_mask_to_box(masks).float()
    chosen: list[int] = []
    for index in order.tolist():
        if all(_box_iou(corners[index], corners[other]) <= _MOST_OVERLAP for other in chosen):
            chosen.append(index)
    objects = everything.all_masks(both.network, image, 1, 1000)
    expected = kept_scores[chosen].clamp(0, 1).tolist()
    assert [each.score for each in objects] == pytest.approx(expected, abs=1e-4)
    actual = np.stack([whole_mask(detected, SIZE) for detected in objects])
    for index in chosen:  # masks of equal scores have no order
        differing = (actual != masks[index].numpy()).mean(axis=(1, 2))
        assert differing.min() < 0.002
    assert len(objects) > 1
    assert len(everything.all_masks(both.network, image, 1, 1)) == 1
    large = everything.all_masks(both.network, image, 400, 1000)
    assert all(each.area >= 400 for each in large)


def _between(values: Tensor, share: float) -> float:
    """Return the middle between two neighbours of all values, near a quantile: rounding moves none across it."""
    ordered = values.flatten().sort().values.unique()
    place = int(share * len(ordered))
    gaps = ordered[place : place + 10].diff()
    widest = place + int(gaps.argmax())
    return float(ordered[widest : widest + 2].mean())


def _mask_of(runs: dict[str, list[int]]) -> NDArray[np.bool_]:
    """Decode transformers' run lengths, column by column."""
    height, width = runs["size"]
    values = np.arange(len(runs["counts"])) % 2 == 1
    return np.repeat(values, runs["counts"]).reshape(width, height).T


def _box_iou(first: Tensor, second: Tensor) -> float:
    low, high = torch.maximum(first[:2], second[:2]), torch.minimum(first[2:], second[2:])
    shared = (high - low).clamp(min=0).prod()
    union = (first[2:] - first[:2]).prod() + (second[2:] - second[:2]).prod() - shared
    return float(shared / union) if union else 0.0


def test_of_overlapping_boxes_the_most_confident_is_kept_and_suppressed_ones_suppress_none() -> (
    None
):
    corners = ((0, 0, 10, 10), (0, 0, 10, 8), (0, 0, 10, 6), (40, 0, 50, 10))
    scores = (0.99, 0.95, 0.93, 0.97)
    candidates = [
        everything._Candidate(score, box, place, 0)
        for place, (score, box) in enumerate(zip(scores, corners, strict=True))
    ]
    kept = everything._without_overlap(candidates)
    # The second has an IoU of 0.8 with the first; the third of 0.6 with the first and 0.75 with the second.
    assert [each.point for each in kept] == [0, 3, 2]
    assert everything._without_overlap([]) == []


def test_full_resolution_is_that_of_the_image() -> None:
    logits = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))
    assert [each.shape for each in full_resolution(logits, (7, 9))] == [(7, 9), (7, 9)]


# -- refused prompts, and results --------------------------------------------------------------------------


class Prompter:
    """A prompter whose masks are the boxes, and empty for points; the score falls from prompt to prompt."""

    def masks_of_prompts(
        self, image: NDArray[np.uint8], prompts: tuple[MaskPrompt, ...]
    ) -> tuple[DetectedObject, ...]:
        boxes = [prompt.box or Box(0, 0, 0, 0) for prompt in prompts]
        return tuple(
            DetectedObject(0, 1 - i / 10, box, np.ones((box.height, box.width), bool))
            for i, box in enumerate(boxes)
        )

    def all_masks(
        self, image: NDArray[np.uint8], min_area: int, max_objects: int
    ) -> tuple[DetectedObject, ...]:
        return (DetectedObject(0, 0.5, Box(1, 1, 2, 2), np.ones((2, 2), bool)),)


INFINITE, NAN = float("inf"), float("nan")
REFUSED = {
    "empty": (MaskPrompt(), "marked object 1 has neither a point nor a box"),
    "only outside": (
        MaskPrompt((MarkedPoint(3, 3, outside=True),), class_name="mug"),
        r"marked object 1 \('mug'\) has only points that its mask leaves out; add a point",
    ),
    "nan": (MaskPrompt((MarkedPoint(NAN, 3),)), r"a point at \(nan, 3\); give two numbers"),
    "infinite": (MaskPrompt((MarkedPoint(3, INFINITE),)), r"a point at \(3, inf\)"),
    "left of": (MaskPrompt((MarkedPoint(-0.5, 3),)), r"\(-0.5, 3\) outside of the image of 80x48"),
    "right of": (MaskPrompt((MarkedPoint(80, 3),)), r"\(80, 3\) outside of the image of 80x48"),
    "below": (MaskPrompt((MarkedPoint(3, 48),)), r"\(3, 48\) outside of the image"),
    "outside point": (
        MaskPrompt((MarkedPoint(3, 3), MarkedPoint(3, 99, outside=True))),
        r"\(3, 99\) outside of the image",
    ),
    "box right": (
        MaskPrompt(box=Box(70, 0, 11, 5)),
        r"11x5 pixels at \(70, 0\), which is not inside",
    ),
    "box below": (MaskPrompt(box=Box(0, 40, 5, 9)), "which is not inside the image of 80x48"),
    "box left": (MaskPrompt(box=Box(-1, 4, 5, 9)), "clip it to the image"),
    "flat box": (MaskPrompt(box=Box(3, 4, 5, 0)), "5x0 pixels at .* which is empty"),
    "many points": (
        MaskPrompt(tuple(MarkedPoint(i, 1) for i in range(65))),
        "marked object 1 has 65 points; at most 64",
    ),
}


@pytest.mark.parametrize(("prompt", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_prompt_that_marks_no_object_in_the_image_is_refused(
    prompt: MaskPrompt, reason: str
) -> None:
    with pytest.raises(MaskPromptError, match=reason):
        segment_marked(Prompter(), blots(*SIZE), (prompt,))  # type: ignore[arg-type]


def test_more_prompts_than_64_are_refused() -> None:
    with pytest.raises(MaskPromptError, match="65 marked objects are too many; give at most 64"):
        segment_marked(Prompter(), blots(*SIZE), (POINT,) * 65)  # type: ignore[arg-type]


def test_named_objects_are_labelled_and_the_others_stand_in_the_instances_alone() -> None:
    prompts = (
        MaskPrompt(box=Box(0, 0, 10, 10), class_name="mug"),
        MaskPrompt(box=Box(5, 0, 10, 10)),
        MaskPrompt(box=Box(5, 0, 20, 10), class_name="duck"),
        MaskPrompt(box=Box(40, 20, 4, 4), class_name=" mug"),
        MaskPrompt((MarkedPoint(1, 1),), class_name="ball"),
    )
    segmentation, vocabulary = segment_marked(Prompter(), blots(*SIZE), prompts)  # type: ignore[arg-type]
    assert vocabulary.names == ("mug", "duck", "ball") and vocabulary.ids == (1, 2, 3)
    assert vocabulary.version == 0
    assert segmentation.instances is not None
    assert [each.class_id for each in segmentation.instances] == [1, 0, 2, 1, 3]
    assert [each.area for each in segmentation.instances] == [100, 100, 200, 16, 0]
    expected = np.zeros(SIZE, np.uint8)
    expected[:10, 5:25] = 2
    expected[:10, :10] = 1
    expected[20:24, 40:44] = 1
    assert np.array_equal(segmentation.label, expected)
    assert np.array_equal(segmentation.confidence > 0, expected > 0)


def test_everything_has_no_classes() -> None:
    segmentation, vocabulary = segment_everything(Prompter(), blots(*SIZE), 1, 9)  # type: ignore[arg-type]
    assert not segmentation.label.any() and vocabulary.version == 0 and not vocabulary.classes
    assert [each.class_id for each in segmentation.instances or ()] == [0]


# -- the time limit --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_mask_decoder_does_not_run_when_the_time_is_over(kind: str, tmp_path: Path) -> None:
    """It is checked before each run of the decoder: once for each batch of points."""
    [family] = [f for f in FAMILIES if f.name in (f"owlv2+{kind}", f"{kind}_video")]
    prompter = mask_prompter_of(load_segmenter(family.write(tmp_path), CPU))
    runs: list[str] = []
    hook = register_module_forward_hook(
        lambda layer, *_: (
            runs.append(type(layer).__name__) if "MaskDecoder" in type(layer).__name__ else None
        )
    )
    try:
        for call in (
            lambda: prompter.all_masks(blots(), 1, 5),
            lambda: prompter.masks_of_prompts(blots(), [POINT]),
        ):
            with time_limit(1e-9, masks_too_late), pytest.raises(MaskPromptError, match="longer"):
                call()
            assert runs == []
        prompter.masks_of_prompts(blots(), [POINT])
    finally:
        hook.remove()
    assert runs
