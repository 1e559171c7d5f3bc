"""Results that are carried to the newest image by optical flow."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from zs_seg_ros.perception.propagation import LONGEST_GAP_NS, Carried, Propagator
from zs_seg_ros.types import Box, DetectedObject, Frame, Label, Segmentation

STEP_NS = 100_000_000


def texture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return an (H, W, 3) image with structures of several sizes."""
    rng = np.random.default_rng(seed)
    image = np.zeros((height, width, 3), np.float32)
    for scale in (4, 8, 16, 32):
        size = (height // scale + 2, width // scale + 2, 3)
        image += cv2.resize(rng.random(size).astype(np.float32), (width, height)) / 4
    return (image * 255).astype(np.uint8)


def frame(image: NDArray[Any], number: int, **others: Any) -> Frame:
    return Frame("camera", image, stamp_ns=(number + 1) * STEP_NS, **others)


def square(size: tuple[int, int], top: int, left: int, side: int = 40) -> Label:
    label = np.zeros(size, np.uint8)
    label[top : top + side, left : left + side] = 7
    return label


def segmentation(label: Label, confidence: int = 200) -> Segmentation:
    return Segmentation(label, np.where(label > 0, np.uint8(confidence), np.uint8(0)))


def iou(one: NDArray[Any], other: NDArray[Any]) -> float:
    return float(
        np.count_nonzero((one > 0) & (other > 0)) / np.count_nonzero((one > 0) | (other > 0))
    )


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
