# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""What is marked by a pixel or a box and not detected gets its mask from a mask model, in images of any rotation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from zs_seg_ros.errors import MaskPromptError, ModelError, NoMaskPromptsError, SelectionError
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.perception.marked_object import (
    Mark,
    has_detection,
    marked_object,
    mask_of_region,
)
from zs_seg_ros.perception.rotation import ROTATIONS, upright
from zs_seg_ros.perception.target import SceneObjects
from zs_seg_ros.segmenters.deadline import check_time
from zs_seg_ros.segmenters.fake import FakeSegmenter
from zs_seg_ros.segmenters.instance_labels import cut_out
from zs_seg_ros.segmenters.mask_prompts import MaskPrompt, MaskPrompter, check_mask_prompts
from zs_seg_ros.types import Box, DetectedObject, Frame, RgbImage, size_of
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

SIZE = (40, 60)
OBJECT = Box(12, 6, 9, 17)


def image() -> NDArray[np.uint8]:
    """Draw a white object on black."""
    pixels = np.zeros((*SIZE, 3), np.uint8)
    pixels[OBJECT.top : OBJECT.top + OBJECT.height, OBJECT.left : OBJECT.left + OBJECT.width] = 255
    return pixels


def object_mask() -> NDArray[np.bool_]:
    return image()[..., 0] > 0


class WhiteObjects(FakeSegmenter, MaskPrompter):
    """A mask model whose mask is all that is white, if the point is on it or the box has some of it."""

    def __init__(self) -> None:
        super().__init__()
        self.prompts: list[MaskPrompt] = []

    def masks_of_prompts(
        self, image: RgbImage, prompts: Sequence[MaskPrompt]
    ) -> tuple[DetectedObject, ...]:
        check_mask_prompts(prompts, image)
        self.prompts += prompts
        return tuple(self._mask(image, prompt) for prompt in prompts)

    def _mask(self, image: RgbImage, prompt: MaskPrompt) -> DetectedObject:
        white = np.asarray(image[..., 0] > 0)
        if prompt.box is not None:
            box = prompt.box
            place = slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)
        else:
            [point] = prompt.points
            assert (point.x % 1, point.y % 1) == (0.5, 0.5)
            place = slice(int(point.y), int(point.y) + 1), slice(int(point.x), int(point.x) + 1)
        return cut_out(white if white[place].any() else np.zeros_like(white), 0.9)

    def all_masks(
        self, image: RgbImage, min_area: int, max_objects: int
    ) -> tuple[DetectedObject, ...]:
        for _ in range(1000):
            check_time()
        raise AssertionError("the time limit was not checked")


@pytest.mark.parametrize("rotation", ROTATIONS)
@pytest.mark.parametrize(
    "region", [Box(20, 22, 1, 1), Box(12, 6, 1, 1), Box(14, 10, 1, 1), Box(0, 0, 14, 9)]
)
def test_the_mask_lies_at_the_mark_in_the_image_as_it_was_received(
    rotation: int, region: Box
) -> None:
    frame = Frame("camera", image(), rotation=rotation)
    mask = mask_of_region(WhiteObjects(), frame, region)
    assert mask is not None and np.array_equal(mask, object_mask())


@pytest.mark.parametrize("rotation", ROTATIONS)
@pytest.mark.parametrize("corner", [(0, 0), (59, 0), (0, 39), (59, 39)])
def test_clicks_at_the_edge_and_on_background_are_inside_the_upright_image(
    rotation: int, corner: tuple[int, int]
) -> None:
    """They are accepted by the check of points, and have no mask here, as the background is black."""
    frame, model = Frame("camera", image(), rotation=rotation), WhiteObjects()
    assert mask_of_region(model, frame, Box(*corner, 1, 1)) is None
    [prompt] = model.prompts
    height, width = size_of(upright(frame.image, rotation))
    [point] = prompt.points
    assert point.x in (0.5, width - 0.5) and point.y in (0.5, height - 0.5)


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_a_box_over_the_whole_image_stays_inside_it(rotation: int) -> None:
    frame, model = Frame("camera", image(), rotation=rotation), WhiteObjects()
    mask = mask_of_region(model, frame, Box(0, 0, SIZE[1], SIZE[0]))
    assert mask is not None and np.array_equal(mask, object_mask())


def scene(*objects: DetectedObject) -> SceneObjects:
    vocabulary = Vocabulary().changed_to([TargetClass("red")])
    return SceneObjects(1, objects, vocabulary, size=SIZE, frame=Frame("camera", image(), 1))


def test_the_mask_is_the_marked_object() -> None:
    mask = mask_of_region(WhiteObjects(), Frame("camera", image()), Box(14, 10, 1, 1))
    marked = marked_object(scene(), Mark(mask=mask))
    assert (marked.box, marked.class_id) == (OBJECT, 0)


def test_it_is_known_whether_something_is_detected_at_a_mark() -> None:
    detected = cut_out(object_mask(), 0.8, class_id=1)
    on, off, box = Mark(Box(14, 10, 1, 1)), Mark(Box(1, 1, 1, 1)), Mark(OBJECT)
    assert not any(has_detection(scene(), mark) for mark in (on, off, box))
    assert [has_detection(scene(detected), mark) for mark in (on, off, box)] == [True, False, True]
    assert not has_detection(scene(detected), Mark(Box(0, 0, 60, 40)))
    assert has_detection(scene(), Mark(mask=object_mask()))
    with pytest.raises(SelectionError, match="outside of the image"):
        has_detection(scene(), Mark(Box(60, 1, 1, 1)))


def live(segmenter: FakeSegmenter | None) -> LiveModel:
    model = LiveModel(lambda: 1)
    model.segmenter = segmenter
    return model


def test_what_takes_longer_than_the_limit_is_given_up_in_one_sentence() -> None:
    model = live(WhiteObjects())
    with pytest.raises(MaskPromptError) as refused:
        model.segment_without_words(lambda prompter: prompter.all_masks(image(), 1, 1), 1e-9)
    assert str(refused.value).startswith(
        "segmenting without words takes longer than vocabulary_timeout (1e-09 s); mark fewer"
    )
    with pytest.raises(AssertionError):
        model.segment_without_words(lambda prompter: prompter.all_masks(image(), 1, 1), 0.0)


def test_a_model_without_a_mask_model_and_none_at_all_are_refused() -> None:
    with pytest.raises(NoMaskPromptsError, match="takes no points and boxes"):
        live(FakeSegmenter()).segment_without_words(lambda prompter: None)
    with pytest.raises(ModelError, match="no model is loaded"):
        live(None).segment_without_words(lambda prompter: None)
