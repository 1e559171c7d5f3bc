# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Results that are carried to the newest image by optical flow."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from walls import iou, segmentation, texture

from zs_seg_ros.perception.motion_history import LONGEST_GAP_NS, MOST_IMAGES
from zs_seg_ros.perception.propagation import Carried, Propagator
from zs_seg_ros.types import Box, DetectedObject, Frame, Label, Segmentation

STEP_NS = 100_000_000


def frame(image: NDArray[Any], number: int, **others: Any) -> Frame:
    return Frame("camera", image, stamp_ns=(number + 1) * STEP_NS, **others)


def square(size: tuple[int, int], top: int, left: int, side: int = 40) -> Label:
    label = np.zeros(size, np.uint8)
    label[top : top + side, left : left + side] = 7
    return label


def carried(propagator: Propagator) -> Carried:
    result = propagator.carried("flow")
    assert result is not None
    return result


class MovingWindow:
    """A camera that moves over a large texture by `step` (x, y) pixels a frame, with a square that stays in place."""

    def __init__(self, size: tuple[int, int] = (240, 320), step: tuple[int, int] = (4, 2)) -> None:
        self.size, self.step = size, step
        self.world = texture(size[0] + 200, size[1] + 200)

    def offset(self, number: int) -> tuple[int, int]:
        return self.step[0] * number, self.step[1] * number

    def frame(self, number: int) -> Frame:
        x, y = self.offset(number)
        return frame(self.world[y : y + self.size[0], x : x + self.size[1]], number)

    def label(self, number: int, side: int = 40) -> Label:
        x, y = self.offset(number)
        return square(self.size, 100 - y, 140 - x, side)


def test_a_result_is_carried_along_with_the_motion_of_the_images_since() -> None:
    scene, propagator = MovingWindow(), Propagator()
    for number in range(8):
        propagator.observe(scene.frame(number))
    propagator.update(scene.frame(2), segmentation(scene.label(2)))
    result = carried(propagator)
    assert result.inferred_stamp_ns == scene.frame(2).stamp_ns
    assert iou(result.segmentation.label, scene.label(7)) > 0.95


def test_later_images_carry_it_on_until_the_next_result() -> None:
    scene, propagator = MovingWindow(), Propagator()
    for number in range(4):
        propagator.observe(scene.frame(number))
    propagator.update(scene.frame(0), segmentation(scene.label(0)))
    for number in range(4, 10):
        propagator.observe(scene.frame(number))
        assert iou(carried(propagator).segmentation.label, scene.label(number)) > 0.93


def test_without_an_update_there_is_no_result() -> None:
    scene, propagator = MovingWindow(), Propagator()
    assert propagator.carried("flow") is None
    propagator.observe(scene.frame(0))
    assert propagator.carried("flow") is None


def test_a_result_of_the_newest_frame_is_not_changed() -> None:
    scene, propagator = MovingWindow(), Propagator()
    propagator.observe(scene.frame(0))
    given = segmentation(scene.label(0))
    propagator.update(scene.frame(0), given)
    assert carried(propagator).segmentation is given


def test_a_camera_that_stops_gets_an_exact_copy() -> None:
    image = texture(240, 320)
    label = np.random.default_rng(1).integers(0, 3, (240, 320)).astype(np.uint8)
    propagator = Propagator()
    for number in range(5):
        propagator.observe(frame(image, number))
    propagator.update(frame(image, 1), segmentation(label))
    assert np.array_equal(carried(propagator).segmentation.label, label)


def test_another_scene_carries_nothing() -> None:
    propagator = Propagator()
    first, second = texture(240, 320, 1), texture(240, 320, 2)
    propagator.observe(frame(first, 0))
    propagator.update(frame(first, 0), segmentation(square((240, 320), 100, 100)))
    propagator.observe(frame(second, 1))
    assert propagator.carried("flow") is None
    propagator.update(frame(first, 0), segmentation(square((240, 320), 100, 100)))
    assert propagator.carried("flow") is None


@pytest.mark.parametrize("jump_ns", [-5 * STEP_NS, 0, LONGEST_GAP_NS + 1])
def test_a_stamp_that_jumps_begins_anew(jump_ns: int) -> None:
    image, propagator = texture(240, 320), Propagator()
    propagator.observe(Frame("camera", image, stamp_ns=10**10))
    propagator.update(
        Frame("camera", image, stamp_ns=10**10), segmentation(square((240, 320), 9, 9))
    )
    later = Frame("camera", image, stamp_ns=10**10 + jump_ns, received_ns=1)
    propagator.observe(later)
    assert propagator.carried("flow") is None
    propagator.update(later, segmentation(square((240, 320), 9, 9)))
    assert propagator.carried("flow") is not None


def test_a_result_from_before_a_stamp_that_jumps_back_is_ignored() -> None:
    image, propagator = texture(240, 320), Propagator()
    before = Frame("camera", image, stamp_ns=10**10, received_ns=1)
    propagator.observe(before)
    propagator.observe(Frame("camera", image, stamp_ns=10**9, received_ns=2))
    propagator.update(before, segmentation(square((240, 320), 9, 9)))
    assert propagator.carried("flow") is None


def test_another_image_size_begins_anew() -> None:
    propagator = Propagator()
    propagator.observe(frame(texture(240, 320), 0))
    propagator.update(frame(texture(240, 320), 0), segmentation(square((240, 320), 9, 9)))
    propagator.observe(frame(texture(480, 640), 1))
    assert propagator.carried("flow") is None


def test_instances_are_carried_with_their_masks() -> None:
    scene, propagator = MovingWindow(), Propagator()
    for number in range(6):
        propagator.observe(scene.frame(number))
    overlapping = tuple(
        DetectedObject(class_id, 0.9, Box(140, 100, side, side), np.ones((side, side), bool))
        for class_id, side in ((7, 40), (8, 20))
    )
    label = scene.label(0)
    confidence = segmentation(label).confidence
    propagator.update(scene.frame(0), Segmentation(label, confidence, overlapping))
    instances = carried(propagator).segmentation.instances
    assert instances is not None and [each.class_id for each in instances] == [7, 8]
    for instance, side in zip(instances, (40, 20), strict=True):
        assert abs(instance.box.left - 120) <= 1 and abs(instance.box.top - 90) <= 1
        assert 0.85 < instance.area / side**2 < 1.15
        assert instance.score < 0.9


def test_an_older_result_does_not_replace_a_newer_one() -> None:
    scene, propagator = MovingWindow(), Propagator()
    for number in range(4):
        propagator.observe(scene.frame(number))
    propagator.update(scene.frame(2), segmentation(scene.label(2)))
    propagator.update(scene.frame(1), segmentation(np.zeros_like(scene.label(1))))
    assert carried(propagator).inferred_stamp_ns == scene.frame(2).stamp_ns


def test_a_result_that_does_not_fit_its_image_is_ignored() -> None:
    scene, propagator = MovingWindow(), Propagator()
    propagator.observe(scene.frame(0))
    propagator.update(scene.frame(0), Segmentation.empty((10, 10)))
    assert propagator.carried("flow") is None


def test_confidence_falls_with_age_and_labels_stay() -> None:
    image, label = texture(120, 160), square((120, 160), 30, 40)
    propagator, confidences = Propagator(), []
    propagator.update(frame(image, 0), segmentation(label, confidence=2))
    for number in range(1, 60):
        propagator.observe(frame(image, number))
        result = carried(propagator).segmentation
        assert np.array_equal(result.label, label)
        assert np.array_equal(result.confidence > 0, label > 0)
        confidences.append(int(result.confidence.max()))
    propagator.update(frame(image, 59), segmentation(label, confidence=200))
    for number in range(60, 100):
        propagator.observe(frame(image, number))
        confidences.append(int(carried(propagator).segmentation.confidence.max()))
    assert set(confidences[:59]) == {1, 2}
    assert confidences[59] > 190 and 95 < confidences[-1] < 105  # a half-life later
    assert sorted(confidences[59:], reverse=True) == confidences[59:]


@pytest.mark.parametrize("number", [0, 1, 7, 18, 19])
def test_results_of_images_that_were_forgotten_since_are_carried_too(number: int) -> None:
    scene, propagator, last = MovingWindow((120, 160), (1, 0)), Propagator(), MOST_IMAGES + 20
    for each in range(last + 1):
        propagator.observe(scene.frame(each))
    label = square(scene.size, 40, 120 - number, 30)
    propagator.update(scene.frame(number), segmentation(label))
    result = carried(propagator)
    assert result.inferred_stamp_ns == scene.frame(number).stamp_ns
    assert iou(result.segmentation.label, square(scene.size, 40, 120 - last, 30)) > 0.8


def test_what_leaves_the_image_is_given_up() -> None:
    scene, propagator = MovingWindow(step=(10, 0)), Propagator()
    propagator.update(scene.frame(0), segmentation(scene.label(0)))
    for number in range(1, 20):
        propagator.observe(scene.frame(number))
    assert np.count_nonzero(carried(propagator).segmentation.label) < 20


def test_what_comes_into_the_image_has_no_label() -> None:
    scene, propagator = MovingWindow(step=(8, 0)), Propagator()
    everywhere = np.full(scene.size, 3, np.uint8)
    propagator.update(scene.frame(0), segmentation(everywhere))
    for number in range(1, 6):
        propagator.observe(scene.frame(number))
    label = carried(propagator).segmentation.label
    assert np.mean(label[:, -36:] > 0) < 0.1
    assert np.mean(label[:, :-44] > 0) > 0.95


def test_instances_that_leave_the_image_are_dropped() -> None:
    scene, propagator = MovingWindow(step=(10, 0)), Propagator()
    label = scene.label(0)
    stays = DetectedObject(7, 0.9, Box(250, 100, 40, 40), np.ones((40, 40), bool))
    leaves = DetectedObject(7, 0.9, Box(20, 100, 40, 40), np.ones((40, 40), bool))
    propagator.update(
        scene.frame(0), Segmentation(label, segmentation(label).confidence, (leaves, stays))
    )
    for number in range(1, 9):
        propagator.observe(scene.frame(number))
    instances = carried(propagator).segmentation.instances
    assert instances is not None and len(instances) == 1
    assert abs(instances[0].box.left - 170) <= 2


@pytest.mark.parametrize("side", [2, 3, 5])
def test_objects_of_a_few_pixels_move_along(side: int) -> None:
    scene, propagator = MovingWindow(), Propagator()
    mask = np.ones((side, side), bool)
    label = scene.label(0, side)
    instance = DetectedObject(7, 0.9, Box(140, 100, side, side), mask)
    confidence = segmentation(label).confidence
    propagator.update(scene.frame(0), Segmentation(label, confidence, (instance,)))
    for number in range(1, 6):
        propagator.observe(scene.frame(number))
    result = carried(propagator).segmentation
    assert result.instances is not None and len(result.instances) == 1
    box = result.instances[0].box
    assert abs(box.left - 120) <= 2 and abs(box.top - 90) <= 2
    rows, columns = np.nonzero(result.label)
    assert abs(columns.mean() - 120 - side / 2) <= 2 and abs(rows.mean() - 90 - side / 2) <= 2


def test_a_camera_that_turns_about_its_axis() -> None:
    image, label = texture(240, 320), square((240, 320), 60, 180, 50)
    propagator = Propagator()
    for number in range(9):
        turn = cv2.getRotationMatrix2D((159.5, 119.5), 5.0 * number, 1)
        turned = cv2.warpAffine(image, turn, (320, 240), borderMode=cv2.BORDER_REFLECT)
        propagator.observe(frame(np.asarray(turned, np.uint8), number))
        if number == 0:
            propagator.update(frame(image, 0), segmentation(label))
    truth = np.asarray(cv2.warpAffine(label, turn, (320, 240), flags=cv2.INTER_NEAREST))
    assert iou(carried(propagator).segmentation.label, truth) > 0.85


def test_a_camera_that_is_too_fast_gives_up_rather_than_mislabels() -> None:
    scene, propagator = MovingWindow(step=(90, 0)), Propagator()
    propagator.update(scene.frame(0), segmentation(scene.label(0)))
    propagator.observe(scene.frame(1))
    result = propagator.carried("flow")
    if result is not None:
        label = result.segmentation.label
        wrong = np.count_nonzero((label > 0) & (scene.label(1) == 0))
        assert wrong < 0.3 * np.count_nonzero(scene.label(0))


def test_a_blank_wall_keeps_its_labels() -> None:
    rng, propagator = np.random.default_rng(0), Propagator()
    label = square((240, 320), 50, 50, 100)
    for number in range(5):
        noise = rng.normal(128, 2, (240, 320, 3)).clip(0, 255)
        propagator.observe(frame(noise.astype(np.uint8), number))
        if number == 0:
            propagator.update(frame(noise.astype(np.uint8), 0), segmentation(label))
    assert iou(carried(propagator).segmentation.label, label) > 0.9


def test_a_covered_lens_carries_nothing() -> None:
    scene, propagator = MovingWindow(), Propagator()
    propagator.update(scene.frame(0), segmentation(scene.label(0)))
    propagator.observe(frame(np.zeros((240, 320, 3), np.uint8), 1))
    assert propagator.carried("flow") is None


def test_a_change_of_exposure_is_no_change_of_scene() -> None:
    scene, propagator = MovingWindow(), Propagator()
    propagator.update(scene.frame(0), segmentation(scene.label(0)))
    brighter = np.clip(scene.frame(1).image * 1.3, 0, 255).astype(np.uint8)
    propagator.observe(frame(brighter, 1))
    assert iou(carried(propagator).segmentation.label, scene.label(1)) > 0.9


def as_uint16(image: NDArray[np.uint8]) -> NDArray[np.uint16]:
    return image.astype(np.uint16) * 257


def as_big_endian(image: NDArray[np.uint8]) -> NDArray[Any]:
    return as_uint16(image).astype(">u2")


def as_mono(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.broadcast_to(image[..., :1], image.shape)


def as_bgr(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(image[..., ::-1])[..., ::-1]


def upside_down(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(image[::-1, ::-1])[::-1, ::-1]


@pytest.mark.parametrize("convert", [as_uint16, as_big_endian, as_mono, as_bgr, upside_down])
def test_images_of_all_kinds(convert: Any) -> None:
    scene, propagator = MovingWindow(), Propagator()
    frames = [frame(convert(scene.frame(n).image), n) for n in range(4)]
    propagator.update(frames[0], segmentation(scene.label(0)))
    for each in frames[1:]:
        propagator.observe(each)
    assert iou(carried(propagator).segmentation.label, scene.label(3)) > 0.9


@pytest.mark.parametrize("size", [(480, 640), (720, 1280), (300, 200)])
def test_images_of_all_sizes(size: tuple[int, int]) -> None:
    scene, propagator = MovingWindow(size=size, step=(6, 3)), Propagator()
    propagator.update(scene.frame(0), segmentation(scene.label(0)))
    for number in range(1, 5):
        propagator.observe(scene.frame(number))
    result = carried(propagator).segmentation
    assert result.label.shape == size
    assert iou(result.label, scene.label(4)) > 0.85


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (7, 5)])
def test_images_of_few_pixels(size: tuple[int, int]) -> None:
    rng, propagator = np.random.default_rng(0), Propagator()
    label = np.ones(size, np.uint16)
    for number in range(4):
        image = rng.integers(0, 256, (*size, 3), np.uint8)
        propagator.update(frame(image, number), segmentation(label))
        result = propagator.carried("auto")
        assert result is not None and np.array_equal(result.segmentation.label, label)
        propagator.observe(frame(image, number + 1))
        still = carried(propagator).segmentation
        assert np.array_equal(still.label, label) and still.label.dtype == np.uint16
        propagator.reset()


def test_a_camera_without_a_clock_gets_results_of_its_newest_frame_only() -> None:
    image, label = texture(120, 160), square((120, 160), 30, 40)
    first, second = (Frame("camera", image, 0, received_ns=number) for number in (1, 2))
    propagator = Propagator()
    propagator.observe(first)
    propagator.observe(second)
    propagator.update(first, segmentation(label))
    assert propagator.carried("flow") is None
    propagator.update(second, segmentation(label))
    assert propagator.carried("flow") is not None
