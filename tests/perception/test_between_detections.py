# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.


"""Images between two detections: the video memory follows what was detected, and the detector does not run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from test_kept_memories import RememberingSegmenter
from test_kept_objects import OBJECTS, SIDE, Stage, image_of, lefts

from zs_seg_ros.perception import between_detections
from zs_seg_ros.perception.marked_object import Mark
from zs_seg_ros.perception.masks import extract_objects
from zs_seg_ros.perception.pipeline import Settings, segment
from zs_seg_ros.segmenters.base import EncodedVocabulary
from zs_seg_ros.segmenters.fake import ColoursOfClasses
from zs_seg_ros.types import Batch, Box, Frame, Scene, Segmentation
from zs_seg_ros.vocabulary.vocabulary import TargetClass


class InstanceSegmenter(RememberingSegmenter):
    """The fake model with instances and a memory. It records how many images were detected in."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def segment(
        self, batch: Batch, encoded: EncodedVocabulary[ColoursOfClasses]
    ) -> list[Segmentation]:
        self.batches.append(len(batch.images))
        results = super().segment(batch, encoded)
        return [replace(each, instances=extract_objects(each, 4, 100)) for each in results]


@dataclass
class IntervalStage(Stage):
    settings: Settings = field(
        default_factory=lambda: Settings(min_area=4, detection_interval_s=1.0)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.model.segmenter = self.segmenter = InstanceSegmenter()

    def scene_of(self, image: NDArray[np.uint8], camera: str = "front") -> Scene:
        [self.newest] = self.scenes(self.frame(image, camera))
        return self.newest

    def frame(self, image: NDArray[np.uint8], camera: str = "front") -> Frame:
        return Frame(camera, image, round(self.stamp_s * 1e9), requested=OBJECTS)

    def scenes(self, *frames: Frame) -> list[Scene]:
        encoded, model = self.model.encoded, self.model
        assert encoded is not None
        batch = segment(frames, self.segmenter, encoded, self.settings, model.kept, model.between)
        return list(self.pipeline.scenes(batch, self.settings))


def test_the_detector_runs_once_in_an_interval_and_the_memory_follows_between() -> None:
    stage = IntervalStage()
    first = stage.show(("red", 10, 10), ("blue", 60, 20))
    [red] = [o for o in first.objects if o.class_id == 1]
    for left in (14, 70, 20, 24, 28, 32, 36, 40, 44):  # 0.1 s each
        scene = stage.show(("red", left, 30), ("blue", 60, 5))
        assert lefts(scene) == {"red": [left], "blue": [60]}
        [same] = [o for o in scene.objects if o.class_id == 1]
        assert same.score == pytest.approx(red.score) and same.area == SIDE * SIDE
        assert (scene.segmentation.label == 1).sum() == SIDE * SIDE
    assert stage.segmenter.batches == [1]
    stage.show(("red", 48, 30), ("blue", 60, 5))
    assert stage.segmenter.batches == [1, 1]


def test_a_new_object_is_noticed_by_the_next_detection() -> None:
    stage = IntervalStage()
    stage.show(("red", 10, 10))
    assert lefts(stage.show(("red", 10, 10), ("blue", 60, 20))) == {"red": [10]}
    scene = stage.show(("red", 10, 10), ("blue", 60, 20), after_s=1.0)
    assert lefts(scene) == {"red": [10], "blue": [60]}


def test_an_object_that_leaves_is_missing_and_followed_again_when_it_returns() -> None:
    stage = IntervalStage()
    stage.show(("red", 10, 10), ("blue", 60, 20))
    assert lefts(stage.show(("blue", 60, 20))) == {"blue": [60]}
    assert lefts(stage.show(("red", 80, 10), ("blue", 60, 20))) == {"red": [80], "blue": [60]}
    assert stage.segmenter.batches == [1]


def test_an_image_without_detections_is_not_detected_in_again_before_the_interval_is_over() -> None:
    stage = IntervalStage()
    assert lefts(stage.show()) == lefts(stage.show(("red", 10, 10))) == {}
    assert stage.segmenter.batches == [1]


def test_a_new_vocabulary_another_size_and_a_step_back_in_time_need_a_detection() -> None:
    stage = IntervalStage()
    stage.show(("red", 10, 10))
    stage.model.change_vocabulary([TargetClass("blue"), TargetClass("red")])
    calls = len(stage.segmenter.batches)

    def detections() -> int:
        return len(stage.segmenter.batches) - calls

    assert lefts(stage.show(("red", 10, 10))) == {"red": [10]}
    assert detections() == 1
    stage.stamp_s += 0.1
    stage.scene_of(image_of(("red", 10, 10))[:40])
    assert detections() == 2
    stage.show(("red", 10, 10), after_s=-5.0)
    assert detections() == 3
    stage.show(("red", 10, 10))
    assert detections() == 3


def test_cameras_of_one_batch_are_detected_in_when_each_is_due() -> None:
    stage = IntervalStage()
    stage.show(("red", 10, 10), camera="front")
    stage.stamp_s += 0.1
    front, back = stage.scenes(
        stage.frame(image_of(("red", 20, 10), ("blue", 60, 20)), "front"),
        stage.frame(image_of(("red", 30, 10), ("blue", 70, 20)), "back"),
    )
    assert lefts(front) == {"red": [20]}
    assert lefts(back) == {"red": [30], "blue": [70]}
    assert stage.segmenter.batches == [1, 1]


def test_kept_objects_are_followed_in_images_of_both_kinds() -> None:
    stage = IntervalStage()
    stage.show(("green", 10, 10), ("red", 60, 20))
    kept = stage.keep(mark=Mark(Box(10, 10, SIDE, SIDE)))
    for step in range(1, 15):
        scene = stage.show(("green", 10 + step, 10), ("red", 60, 20))
        assert lefts(scene) == {"kept 1": [10 + step], "red": [60]}
        assert kept.track_id in [o.track_id for o in scene.objects]


def test_only_the_most_confident_instances_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(between_detections, "MOST_FOLLOWED", 1)
    stage = IntervalStage()
    image = image_of(("red", 10, 10), ("blue", 60, 20))
    image[10 : 10 + SIDE, 10 : 10 + SIDE] += 8  # less like red
    stage.scene_of(image)
    stage.stamp_s += 0.1
    assert lefts(stage.scene_of(image)) == {"blue": [60]}


def test_without_an_interval_nothing_is_held() -> None:
    stage = IntervalStage()
    stage.show(("red", 10, 10))
    assert stage.model.between._last
    stage.settings = Settings(min_area=4)
    assert lefts(stage.show(("red", 10, 10), ("blue", 60, 20))) == {"red": [10], "blue": [60]}
    assert not stage.model.between._last


def test_another_model_begins_with_a_detection() -> None:
    stage = IntervalStage()
    stage.show(("red", 10, 10))
    stage.model.segmenter = stage.segmenter = InstanceSegmenter()
    assert lefts(stage.show(("red", 10, 10))) == {"red": [10]}
    assert stage.segmenter.batches == [1]
    stage.model.free()
    assert not stage.model.between._last


def test_a_model_without_a_memory_detects_in_every_image_and_that_is_reported() -> None:
    stage = Stage(settings=Settings(min_area=4, detection_interval_s=1.0))
    stage.show(("red", 10, 10))
    assert lefts(stage.show(("red", 20, 10), ("blue", 60, 20))) == {"red": [20], "blue": [60]}
    [problem] = stage.model.problems(1.0)
    assert (
        "detection_interval is 1 s and the model fake with exemplars has no video memory" in problem
    )
    assert stage.model.problems(0.0) == []
