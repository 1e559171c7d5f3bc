# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""From frames to scenes: rotated cameras, and depth that is not as large as the image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from zs_seg_ros.perception.pipeline import Pipeline, Settings
from zs_seg_ros.requested_outputs import RequestedOutputs
from zs_seg_ros.segmenters.fake import FakeSegmenter
from zs_seg_ros.types import DepthImage, Frame, Intrinsics
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

EVERYTHING = RequestedOutputs(objects=True, surfaces=True, cloud=True)
RED = (220, 30, 30)


def red_square() -> np.ndarray:
    image = np.full((40, 60, 3), 245, np.uint8)
    image[4:14, 40:56] = RED
    return image


class SeesUprightImagesOnly(FakeSegmenter):
    """Detects nothing unless the red square is in the lower right of an upright image."""

    def segment(self, batch, encoded):  # type: ignore[no-untyped-def]
        for image in batch.images:
            assert image.shape[:2] == (60, 40)
            assert tuple(image[48, 30]) == RED
        return super().segment(batch, encoded)


def scene_of(frame: Frame, segmenter: FakeSegmenter):  # type: ignore[no-untyped-def]
    encoded = segmenter.encode(Vocabulary().changed_to([TargetClass("red")]))
    [scene] = Pipeline().process([frame], segmenter, encoded, Settings(min_area=1, track=False))
    return scene


def test_the_model_gets_the_upright_image_and_results_fit_the_received_one() -> None:
    image = red_square()
    frame = Frame("wrist", image, requested=EVERYTHING, rotation=90)
    scene = scene_of(frame, SeesUprightImagesOnly())
    assert np.array_equal(scene.segmentation.label == 1, (image == RED).all(axis=2))
    [detected] = scene.objects
    assert (detected.box.left, detected.box.top) == (40, 4)


@pytest.mark.parametrize("factor", [1, 2])
def test_depth_at_half_the_size_gives_the_same_positions(factor: int) -> None:
    intrinsics = Intrinsics(50.0, 50.0, 30.0, 20.0, 60, 40)
    values = np.full((40 // factor, 60 // factor), 2000, np.uint16)
    frame = Frame("front", red_square(), depth=DepthImage(values, intrinsics), requested=EVERYTHING)
    scene = scene_of(frame, FakeSegmenter())
    assert scene.depth_problem == ""
    [detected] = scene.objects
    assert detected.surface is not None
    assert detected.surface.centre == pytest.approx((0.7, -0.46, 2.0), abs=0.001)
    assert scene.cloud is not None and scene.cloud.shape == (40, 60)


def test_depth_in_millimetres_as_reals_is_reported_and_used_all_the_same() -> None:
    intrinsics = Intrinsics(50.0, 50.0, 30.0, 20.0, 60, 40)
    depth = DepthImage(np.full((40, 60), 2000.0, np.float32), intrinsics)
    scene = scene_of(
        Frame("front", red_square(), depth=depth, requested=EVERYTHING), FakeSegmenter()
    )
    assert "depth_scale" in scene.depth_problem and scene.objects[0].surface is not None


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_positions_and_clouds_of_a_rotated_camera_are_in_its_own_frame(rotation: int) -> None:
    intrinsics = Intrinsics(50.0, 45.0, 30.0, 20.0, 60, 40)
    values = (1500 + 5 * np.arange(60 * 40).reshape(40, 60) % 700).astype(np.uint16)
    frame = Frame("front", red_square(), depth=DepthImage(values, intrinsics), requested=EVERYTHING)
    upright = scene_of(frame, FakeSegmenter())
    turned = scene_of(replace(frame, rotation=rotation), FakeSegmenter())
    [expected], [detected] = upright.objects, turned.objects
    assert detected.box == expected.box and detected.surface == expected.surface
    assert upright.cloud is not None and turned.cloud is not None
    assert np.array_equal(turned.cloud, upright.cloud)


def test_depth_of_other_proportions_is_refused_in_one_sentence() -> None:
    intrinsics = Intrinsics(50.0, 50.0, 30.0, 20.0, 60, 40)
    depth = DepthImage(np.full((40, 80), 2000, np.uint16), intrinsics)
    frame = Frame("front", red_square(), depth=depth, requested=EVERYTHING)
    scene = scene_of(frame, FakeSegmenter())
    assert "the depth image is 80x40, the image 60x40" in scene.depth_problem
    assert scene.cloud is None and scene.objects[0].surface is None
