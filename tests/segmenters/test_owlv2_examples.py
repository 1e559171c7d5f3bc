# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Example images of OWLv2 on random-weight checkpoints, compared with transformers' one-shot detection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from inputs import blots, segment
from numpy.typing import NDArray
from torch.nn import functional
from torch.nn.modules.module import register_module_forward_hook
from transformers import Owlv2ForObjectDetection
from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil
from transformers.models.owlv2.modeling_owlv2 import Owlv2ImageGuidedObjectDetectionOutput

from zs_seg_ros.segmenters.boxes_then_masks.examples import digest, one_box_per_object
from zs_seg_ros.segmenters.boxes_then_masks.owlv2 import Owlv2Detector
from zs_seg_ros.segmenters.boxes_then_masks.owlv2_examples import query_embedding
from zs_seg_ros.segmenters.boxes_then_masks.segmenter import BoxesThenMasks
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.testing.owlv2 import small_owlv2_config, write_owlv2
from zs_seg_ros.testing.sam2 import small_sam2_video_config, write_sam2
from zs_seg_ros.vocabulary.vocabulary import Exemplar, TargetClass, Vocabulary


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    write_owlv2(folder / "owlv2", small_owlv2_config(), words=("red", "mug"), seed=1)
    write_sam2(folder / "sam2", small_sam2_video_config(), seed=3)
    return folder


@pytest.fixture(scope="module")
def pair(folder: Path) -> BoxesThenMasks:
    segmenter = load_segmenter(f"{folder / 'owlv2'} + {folder / 'sam2'}", LoadOptions(device="cpu"))
    assert isinstance(segmenter, BoxesThenMasks)
    return segmenter


@pytest.fixture(scope="module")
def detector(pair: BoxesThenMasks) -> Owlv2Detector:
    assert isinstance(pair.detector, Owlv2Detector)
    return pair.detector


class Reference:
    """transformers' model and its own image processor."""

    def __init__(self, folder: Path) -> None:
        self.processor = Owlv2ImageProcessorPil.from_pretrained(folder)
        self.model = Owlv2ForObjectDetection.from_pretrained(folder).eval()

    def pixels(self, image: NDArray[np.uint8]) -> torch.Tensor:
        pixels: torch.Tensor = self.processor(images=image, return_tensors="pt")["pixel_values"]
        return pixels

    @torch.inference_mode()
    def run(
        self, image: NDArray[np.uint8], query: NDArray[np.uint8]
    ) -> Owlv2ImageGuidedObjectDetectionOutput:
        return self.model.image_guided_detection(self.pixels(image), self.pixels(query))


@pytest.fixture(scope="module")
def reference(folder: Path) -> Reference:
    return Reference(folder / "owlv2")


SIZES = [((48, 64), (64, 64)), ((37, 90), (48, 64)), ((130, 61), (200, 30)), ((64, 64), (2, 3))]


@pytest.mark.parametrize(("size", "query_size"), SIZES, ids=str)
def test_scores_and_boxes_of_a_whole_example_image_are_those_of_transformers(
    detector: Owlv2Detector,
    reference: Reference,
    size: tuple[int, int],
    query_size: tuple[int, int],
) -> None:
    image, query = blots(*size, seed=1), blots(*query_size, seed=2)
    expected = reference.run(image, query)
    scores, boxes = detector.scores_and_boxes([image], detector.encode_example(Exemplar(query)))
    assert expected.logits.std() > 0.3
    torch.testing.assert_close(scores, expected.logits.sigmoid(), rtol=0, atol=1e-4)
    torch.testing.assert_close(boxes, expected.target_pred_boxes, rtol=0, atol=1e-4)


def test_one_call_of_transformers_with_two_images_and_their_examples_gives_the_same(
    detector: Owlv2Detector, reference: Reference
) -> None:
    """Images of two sizes, padded to one batch, and an example of its own for each."""
    images, queries = [blots(48, 64, 1), blots(90, 37, 2)], [blots(20, 70, 3), blots(64, 64, 4)]
    with torch.inference_mode():
        expected = reference.model.image_guided_detection(
            torch.cat([reference.pixels(image) for image in images]),
            torch.cat([reference.pixels(query) for query in queries]),
        )
    for i, query in enumerate(queries):
        encoded = detector.encode_example(Exemplar(query))
        scores, boxes = detector.scores_and_boxes(images, encoded)
        torch.testing.assert_close(scores[i], expected.logits[i].sigmoid(), rtol=0, atol=1e-4)
        torch.testing.assert_close(boxes[i], expected.target_pred_boxes[i], rtol=0, atol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_the_boxes_of_an_example_are_those_that_transformers_keeps(
    pair: BoxesThenMasks, reference: Reference, seed: int
) -> None:
    image, query = blots(64, 64, seed=seed), blots(64, 64, seed=seed + 20)
    output = reference.run(image, query)
    limit = float(output.logits.sigmoid().quantile(0.6))
    [kept] = reference.processor.post_process_image_guided_detection(
        output, threshold=limit, target_sizes=torch.tensor([[64, 64]])
    )
    expected = kept["boxes"].clamp(0, 64)
    vocabulary = Vocabulary().changed_to([TargetClass("part", exemplars=(Exemplar(query),))])
    detected: list[torch.Tensor] = []
    segmenter = pair.box_segmenter
    of_boxes = segmenter.masks

    def record(images: Any, boxes: Any) -> Any:
        detected.extend(boxes)
        return of_boxes(images, boxes)

    segmenter.masks = record  # type: ignore[method-assign]
    try:
        segment(pair, vocabulary, image, threshold=limit)
    finally:
        del segmenter.masks  # type: ignore[method-assign]
    [boxes] = detected
    assert 0 < len(expected) == len(boxes)
    gaps = (expected[:, None] - boxes[None]).abs().amax(dim=2)
    assert gaps.amin(dim=0).max() < 1e-2 and gaps.amin(dim=1).max() < 1e-2


def iou(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    left, top = np.maximum(first[:2], second[:2])
    right, bottom = np.minimum(first[2:], second[2:])
    shared = max(right - left, 0) * max(bottom - top, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return float(shared / (sum(areas) - shared))


@pytest.mark.parametrize(
    "marked", [(3, 5, 20, 30), (30, 1, 33, 3), (0, 0, 64, 48), (40, 20, 60, 47)]
)
@torch.inference_mode()
def test_a_marked_object_is_the_most_objectlike_box_that_fits_it(
    detector: Owlv2Detector, reference: Reference, marked: tuple[int, int, int, int]
) -> None:
    """Of a mask of any form its bounding box counts: here an L, of which only two edges are marked."""
    image = blots(48, 64, seed=4)
    left, top, right, bottom = marked
    mask = np.zeros((48, 64), np.bool_)
    mask[top:bottom, left] = mask[bottom - 1, left:right] = True
    model = reference.model
    grid, _ = model.image_embedder(reference.pixels(image))
    patches = grid.flatten(1, 2)
    _, embeddings = model.class_predictor(patches)
    objectness = model.objectness_predictor(patches)[0].numpy()
    centres = model.box_predictor(patches, grid)[0].double().numpy() * 64
    corners = np.concatenate(
        [centres[:, :2] - centres[:, 2:] / 2, centres[:, :2] + centres[:, 2:] / 2], axis=1
    )
    overlaps = np.array([iou(np.array(marked, float), box) for box in corners])
    assert overlaps.max() > 0
    candidates = np.flatnonzero(overlaps >= 0.8 * overlaps.max())
    best = candidates[objectness[candidates].argmax()]
    expected = functional.normalize(embeddings[0, best], dim=-1)
    row = detector.encode_example(Exemplar(image, mask))[0]
    torch.testing.assert_close(row, expected, rtol=0, atol=1e-4)


@torch.inference_mode()
def test_a_marked_object_that_no_box_overlaps_is_the_nearest_box(reference: Reference) -> None:
    model, patches = reference.model, torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[0.1, 0.1, 0.1, 0.1], [0.5, 0.5, 0.1, 0.1], [0.1, 0.5, 0.1, 0.1]])
    mask = np.zeros((40, 40), np.bool_)
    mask[36:, 36:] = True
    row = query_embedding(model, patches, boxes, Exemplar(blots(40, 40), mask))
    _, embeddings = model.class_predictor(patches[None])
    expected = functional.normalize(embeddings[0, 1], dim=-1)
    torch.testing.assert_close(row[0], expected, rtol=0, atol=1e-6)


def test_an_example_has_the_highest_possible_similarity_in_its_own_image(
    detector: Owlv2Detector,
) -> None:
    image = blots(64, 64, seed=7)
    row = detector.encode_example(Exemplar(image))
    features, _ = detector._features_and_boxes(detector._prepare([image]))
    _, embeddings = detector._network.class_predictor(features)
    cosines = functional.normalize(embeddings[0], dim=-1) @ row[0]
    assert float(cosines.max()) == pytest.approx(1, abs=1e-5)


def test_words_and_examples_of_one_class_are_searched_together(pair: BoxesThenMasks) -> None:
    example = Exemplar(blots(40, 40, 3))
    target = TargetClass("mug", ("red mug",), exemplars=(example,), negatives=("mug",))
    features = pair.encode(Vocabulary().changed_to([target])).features
    assert features.prompts.shape == (3, 32)
    assert features.is_exemplar == (False, False, True)
    assert features.is_negative == (False, True, False)
    assert isinstance(pair.detector, Owlv2Detector)
    words = pair.detector.encode(["red mug", "mug"])
    torch.testing.assert_close(features.prompts[:2], words)
    torch.testing.assert_close(features.prompts[2:], pair.detector.encode_example(example))


def test_an_equal_example_is_not_encoded_again(pair: BoxesThenMasks) -> None:
    def vocabulary() -> Vocabulary:
        mask = np.zeros((40, 40), np.bool_)
        mask[10:, 5:20] = True
        examples = Exemplar(blots(40, 40, 9)), Exemplar(blots(40, 40, 9), mask)
        return Vocabulary().changed_to([TargetClass("part 4711", exemplars=examples)])

    first = pair.encode(vocabulary())
    runs: list[object] = []
    hook = register_module_forward_hook(lambda layer, *_: runs.append(layer))
    again = pair.encode(vocabulary())
    hook.remove()
    assert runs == []
    assert torch.equal(first.features.prompts, again.features.prompts)


def test_keys_of_examples_differ_where_image_or_mask_do() -> None:
    image, mask = blots(8, 16, 1), np.zeros((8, 16), np.bool_)
    mask[2:6] = True
    turned = np.ascontiguousarray(image.reshape(16, 8, 3))
    others = [
        Exemplar(image, mask),
        Exemplar(image, ~mask),
        Exemplar(blots(8, 16, 2)),
        Exemplar(turned),
    ]
    keys = {digest(example) for example in (Exemplar(image), *others)}
    assert len(keys) == 5 and digest(Exemplar(image.copy(), mask.copy())) in keys


def test_overlapping_boxes_are_suppressed_as_by_transformers(reference: Reference) -> None:
    generator = torch.Generator().manual_seed(0)
    boxes = torch.rand(1, 200, 4, generator=generator) * 0.5
    logits = torch.randn(1, 200, 1, generator=generator)
    output = Owlv2ImageGuidedObjectDetectionOutput(logits=logits, target_pred_boxes=boxes)
    [kept] = reference.processor.post_process_image_guided_detection(output, threshold=0.3)
    reached = (logits[0, :, 0].sigmoid() >= 0.3).nonzero()[:, 0]
    order = reached[logits[0, reached, 0].argsort(descending=True)]
    centre, extent = boxes[0, order].split(2, dim=1)
    corners = torch.cat([centre - extent / 2, centre + extent / 2], dim=1)
    indices = one_box_per_object(corners.numpy(), 300)
    assert 10 < len(indices) < len(order)
    expected = {tuple(box) for box in kept["boxes"].round(decimals=5).tolist()}
    assert {tuple(box) for box in corners[indices].round(decimals=5).tolist()} == expected
    assert one_box_per_object(corners.numpy(), 7) == indices[:7]
