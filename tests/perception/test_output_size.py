# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`output_scale`: label images and clouds smaller than the camera's image, and objects of its size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs_seg_ros.perception.labelled_cloud import cloud
from zs_seg_ros.perception.output_size import (
    at_output_size,
    pixel_grid,
    reduced,
    scaled_size,
)
from zs_seg_ros.perception.pipeline import Pipeline, Settings
from zs_seg_ros.requested_outputs import RequestedOutputs
from zs_seg_ros.segmenters.fake import FakeSegmenter
from zs_seg_ros.types import (
    Batch,
    Box,
    DepthImage,
    DetectedObject,
    Distortion,
    Frame,
    Intrinsics,
    Scene,
    Segmentation,
)
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

RED, BLUE, WHITE = (220, 30, 30), (30, 60, 220), (245, 245, 245)
EVERYTHING = RequestedOutputs(objects=True, surfaces=True, cloud=True)
LABELS_ONLY = RequestedOutputs()


def two_squares(height: int = 72, width: int = 128) -> np.ndarray:
    image = np.full((height, width, 3), WHITE, np.uint8)
    image[8:40, 10:50] = RED
    image[30:70, 80:121] = BLUE
    return image


class RemembersSizes(FakeSegmenter):
    """Segments at the sizes that the batch asks for, and remembers them."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, int]] = []

    def segment(self, batch: Batch, encoded: Any) -> list[Segmentation]:
        self.sizes += batch.sizes
        results = super().segment(batch, encoded)
        return [
            at_output_size(result, result.label.shape, size[0] / result.label.shape[0])
            for result, size in zip(results, batch.sizes, strict=True)
        ]


def scene_of(frame: Frame, scale: float, segmenter: FakeSegmenter | None = None) -> Scene:
    segmenter = segmenter or RemembersSizes()
    classes = [TargetClass("red"), TargetClass("blue")]
    encoded = segmenter.encode(Vocabulary().changed_to(classes))
    settings = Settings(min_area=1, output_scale=scale)
    [scene] = Pipeline().process([frame], segmenter, encoded, settings)
    return scene


# -- sizes and grids ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "scale", "output"),
    [
        ((720, 1280), 0.3125, (225, 400)),
        ((480, 640), 0.5, (240, 320)),
        ((480, 640), 0.001, (1, 1)),
        ((7, 1000), 0.05, (1, 50)),
        ((37, 91), 1.0, (37, 91)),
    ],
)
def test_a_size_is_scaled_and_has_at_least_one_pixel(
    size: tuple[int, int], scale: float, output: tuple[int, int]
) -> None:
    assert scaled_size(size, scale) == output


@given(length=st.integers(1, 3000), share=st.floats(0.001, 1.0))
def test_an_output_pixel_is_the_pixel_of_the_image_under_its_centre(
    length: int, share: float
) -> None:
    output = max(1, round(length * share))
    grid = pixel_grid((length, 1), (output, 1))
    centres = (np.arange(output) + 0.5) * length / output
    assert (np.abs(grid.rows + 0.5 - centres) <= 0.5 + 1e-9).all()
    assert grid.rows[0] >= 0 and grid.rows[-1] < length and (np.diff(grid.rows) > 0).all()


def test_an_image_is_reduced_to_its_own_pixels() -> None:
    image = np.arange(6 * 8).reshape(6, 8)
    assert reduced(image, 0.5).tolist() == image[1::2, 1::2].tolist()
    assert reduced(image, 1.0) is image


def test_the_confidence_stays_0_exactly_where_the_label_is_0() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, (97, 61), np.uint8)
    confidence = (rng.integers(1, 256, (97, 61)) * (label > 0)).astype(np.uint8)
    small = at_output_size(Segmentation(label, confidence), (97, 61), 0.37)
    assert small.label.shape == (36, 23)
    assert ((small.confidence == 0) == (small.label == 0)).all()
    assert at_output_size(small, (97, 61), 0.37) is small


# -- the pipeline ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_without_objects_the_model_decodes_at_the_output_size(rotation: int) -> None:
    segmenter = RemembersSizes()
    image = two_squares()
    frame = Frame("c", image, requested=LABELS_ONLY, rotation=rotation)
    scene = scene_of(frame, 0.25, segmenter)
    assert segmenter.sizes == [(18, 32) if rotation in (0, 180) else (32, 18)]
    assert scene.segmentation.label.shape == (18, 32)
    if rotation == 0:
        expected = reduced((image == RED).all(axis=2), 0.25)
        assert np.array_equal(scene.segmentation.label == 1, expected)


def test_objects_have_the_size_of_the_image_at_any_output_scale() -> None:
    segmenter = RemembersSizes()
    frame = Frame("c", two_squares(), requested=RequestedOutputs(objects=True))
    small, full = scene_of(frame, 0.25, segmenter), scene_of(frame, 1.0)
    assert segmenter.sizes == [(72, 128)]
    assert [detected.box for detected in small.objects] == [Box(80, 30, 41, 40), Box(10, 8, 40, 32)]
    for one, other in zip(small.objects, full.objects, strict=True):
        assert one.box == other.box and np.array_equal(one.mask, other.mask)


def test_a_family_that_ignores_the_size_is_reduced_afterwards() -> None:
    scene = scene_of(Frame("c", two_squares()), 0.25, FakeSegmenter())
    small = at_output_size(scene.segmentation, (72, 128), scene.output_scale)
    assert small.label.shape == (18, 32) and set(np.unique(small.label)) == {0, 1, 2}


def test_the_cloud_has_as_many_points_as_the_label_has_pixels() -> None:
    camera = Intrinsics(100.0, 100.0, 64.0, 36.0, 128, 72)
    depth = DepthImage(np.full((72, 128), 2000, np.uint16), camera)
    frame = Frame("c", two_squares(), depth=depth, requested=EVERYTHING)
    scenes = {scale: scene_of(frame, scale) for scale in (0.25, 1.0)}
    small, full = scenes[0.25], scenes[1.0]
    assert small.cloud is not None and full.cloud is not None
    assert small.cloud.shape == (18, 32) and full.cloud.shape == (72, 128)
    published = at_output_size(small.segmentation, (72, 128), 0.25)
    assert np.array_equal(small.cloud["label"], published.label)
    assert [d.surface for d in small.objects] == [d.surface for d in full.objects]


@pytest.mark.parametrize("scale", [0.9, 0.31, 0.02])
@pytest.mark.parametrize(
    "distortion", [None, Distortion("plumb_bob", (-0.28, 0.07, 0.001, -0.002, 0.0))]
)
def test_a_reduced_cloud_consists_of_points_of_the_whole_one(
    scale: float, distortion: Distortion | None
) -> None:
    """Coordinates, colour, label, confidence and track id of each point are those of one pixel."""
    rng = np.random.default_rng(1)
    size = (60, 90)
    camera = Intrinsics(80.0, 82.0, 44.0, 31.0, 90, 60, distortion)
    image = rng.integers(0, 256, (*size, 3), np.uint8)[..., ::-1]
    label = rng.integers(0, 4, size, np.uint8)
    confidence = (rng.integers(1, 256, size) * (label > 0)).astype(np.uint8)
    depth_m = rng.uniform(0.5, 3, size).astype(np.float32)
    depth_m[rng.random(size) < 0.2] = np.nan
    objects = [
        DetectedObject(1, score, box, rng.random((box.height, box.width)) < 0.7, track)
        for score, box, track in (
            (0.9, Box(0, 0, 90, 60), 11),
            (0.5, Box(31, 17, 40, 30), 22),
            (0.7, Box(50, 59, 1, 1), 33),
        )
    ]
    whole = cloud(image, label, confidence, objects, depth_m, camera)
    small = at_output_size(Segmentation(label, confidence), size, scale)
    points = cloud(image, small.label, small.confidence, objects, depth_m, camera)
    expected = pixel_grid(size, points.shape).of(whole)
    for name in points.dtype.names or ():
        assert np.array_equal(points[name], expected[name], equal_nan=name in "xyz"), name
    assert points.shape == scaled_size(size, scale) and points.flags.c_contiguous


def test_labels_larger_than_the_image_have_no_cloud() -> None:
    label = np.zeros((3, 2), np.uint8)
    camera = Intrinsics(10.0, 10.0, 1.0, 1.0, 2, 2)
    with pytest.raises(ValueError, match="larger than the image"):
        cloud(np.zeros((2, 2, 3), np.uint8), label, label, (), np.ones((2, 2), np.float32), camera)


def test_frames_of_one_batch_are_decoded_at_the_sizes_that_each_requests() -> None:
    segmenter = RemembersSizes()
    encoded = segmenter.encode(Vocabulary().changed_to([TargetClass("red")]))
    frames = [
        Frame("a", two_squares(), requested=LABELS_ONLY),
        Frame("b", two_squares(36, 64), requested=RequestedOutputs(objects=True)),
        Frame("c", two_squares(40, 40), requested=LABELS_ONLY),
    ]
    scenes = Pipeline().process(frames, segmenter, encoded, replace(Settings(), output_scale=0.5))
    assert segmenter.sizes == [(36, 64), (36, 64), (20, 20)]
    assert [scene.segmentation.label.shape for scene in scenes] == segmenter.sizes
