# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.


"""Kept objects that a video memory follows: shown where it finds them, and nowhere else."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from test_kept_objects import (
    HEIGHT,
    OBJECTS,
    SIDE,
    WIDTH,
    ExemplarSegmenter,
    Stage,
    image_of,
    lefts,
)

from zs_seg_ros.perception.kept_memories import KeptMemories
from zs_seg_ros.perception.kept_object import KeptObject
from zs_seg_ros.perception.marked_object import Mark
from zs_seg_ros.perception.pipeline import Settings
from zs_seg_ros.perception.propagation import Propagator
from zs_seg_ros.perception.rotation import ROTATIONS
from zs_seg_ros.perception.tracking import LONGEST_ABSENCE_S
from zs_seg_ros.segmenters.base import EncodedVocabulary
from zs_seg_ros.segmenters.fake import ColoursOfClasses, FakeSegmenter
from zs_seg_ros.segmenters.instance_labels import cut_out
from zs_seg_ros.segmenters.video_memory import VideoFollower, VideoMemory
from zs_seg_ros.types import Batch, Box, DetectedObject, Frame, RgbImage, Segmentation
from zs_seg_ros.vocabulary.vocabulary import Vocabulary


class Colour(VideoMemory):
    """A memory of a colour, and of how often it was used."""

    def __init__(self, rgb: NDArray[np.float64]) -> None:
        self.rgb, self.images = rgb, 0

    @property
    def nbytes(self) -> int:
        return 1000


class Remembering(VideoFollower):
    """A memory of an object finds all pixels of its colour."""

    has_video_memory = True

    def remember(
        self, image: RgbImage, masks: Sequence[NDArray[np.bool_]]
    ) -> tuple[VideoMemory, ...]:
        return tuple(Colour(image[mask].mean(axis=0)) for mask in masks)

    def follow(
        self, image: RgbImage, memories: Sequence[VideoMemory]
    ) -> tuple[DetectedObject | None, ...]:
        return tuple(self._find(image, memory) for memory in memories)

    def _find(self, image: RgbImage, memory: VideoMemory) -> DetectedObject | None:
        assert isinstance(memory, Colour)
        memory.images += 1
        detected = cut_out(np.asarray(np.abs(image - memory.rgb).max(axis=2) < 30), 0.75)
        return detected if detected.area else None


class RememberingSegmenter(FakeSegmenter, Remembering):
    """The fake model with such memories. It refuses exemplars."""

    def __init__(self) -> None:
        super().__init__()
        self.encoded: list[tuple[str, ...]] = []

    def encode(self, vocabulary: Vocabulary) -> EncodedVocabulary[ColoursOfClasses]:
        self.encoded.append(vocabulary.names)
        return super().encode(vocabulary)


class SearchingSegmenter(ExemplarSegmenter, Remembering):
    """The fake model with exemplars and memories. fails: whether it fails with exemplars. searches: how often."""

    def __init__(self) -> None:
        super().__init__()
        self.fails, self.searches = (
            False,
            0,
        )  # the first search begins with one in the exemplar's own image

    def segment(
        self, batch: Batch, encoded: EncodedVocabulary[ColoursOfClasses]
    ) -> list[Segmentation]:
        if {*encoded.vocabulary.names} - {"red", "blue"}:
            self.searches += 1
            if self.fails:
                raise RuntimeError("the exemplar cannot be computed")
        return super().segment(batch, encoded)


@dataclass
class RememberingStage(Stage):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.model.segmenter = self.segmenter = self.loaded()

    def loaded(self) -> RememberingSegmenter | SearchingSegmenter:
        return RememberingSegmenter()


@dataclass
class SearchingStage(RememberingStage):
    def loaded(self) -> SearchingSegmenter:
        return SearchingSegmenter()

    def lose(self, kept: KeptObject) -> None:
        """Let the memory of an object find nothing any more."""
        assert isinstance(kept.memory, Colour)
        kept.memory.rgb = np.full(3, -1000.0)


ON_IT = Mark(Box(10, 10, SIDE, SIDE))


def test_an_object_without_a_class_is_where_the_memory_finds_it() -> None:
    """It jumps through the image, further than any detection may lie from the last one."""
    stage = RememberingStage()
    stage.show(("green", 10, 10), ("red", 60, 20))
    kept = stage.keep(mark=ON_IT)
    assert (kept.origin, kept.nbytes) == (0, HEIGHT * WIDTH * 4 + SIDE * SIDE + 1000)
    for left in (10, 80, 12, 44):
        scene = stage.show(("green", left, 30), ("red", 60, 5))
        assert lefts(scene) == {"kept 1": [left], "red": [60]}
        [detected] = [o for o in scene.objects if o.box.left == left]
        assert detected.track_id == kept.track_id and detected.score == pytest.approx(
            0.75, abs=0.01
        )
        of_class = scene.segmentation.label == scene.vocabulary.ids[-1]
        assert of_class.sum() == SIDE * SIDE
        assert (scene.segmentation.confidence[of_class] == 191).all()


def test_the_model_is_not_asked_to_detect_the_class() -> None:
    stage = RememberingStage()
    stage.show(("green", 10, 10))
    stage.keep(mark=ON_IT)
    assert isinstance(stage.segmenter, RememberingSegmenter)
    assert stage.segmenter.encoded[-1] == ("red", "blue")
    assert stage.model.vocabulary.names == ("red", "blue", "kept 1")


def test_what_the_memory_misses_is_not_shown_and_found_again_at_any_time_and_place() -> None:
    stage = RememberingStage()
    stage.show(("green", 10, 10))
    kept = stage.keep(mark=ON_IT)
    stage.show(("green", 12, 10))
    for pause_s in (0.1, 0.1, LONGEST_ABSENCE_S + 1):
        assert lefts(stage.show(after_s=pause_s)) == {}
        assert stage.model.kept.problems() == []
    scene = stage.show(("green", 80, 30))
    assert lefts(scene) == {"kept 1": [80]}
    assert scene.objects[0].track_id == kept.track_id


def test_a_detected_object_has_the_class_of_its_own_only_where_the_memory_finds_it() -> None:
    """The pixels of another red square stay red."""
    stage = RememberingStage()
    stage.show(("red", 10, 10), ("blue", 60, 20))
    stage.show(("red", 10, 10), ("blue", 60, 20))
    kept = stage.keep()
    assert kept.origin == 1
    scene = stage.show(("red", 14, 10), ("blue", 60, 20))
    assert lefts(scene) == {"kept 1": [14], "blue": [60]}
    memory = kept.memory
    assert isinstance(memory, Colour)
    memory.rgb = np.zeros(3)
    assert lefts(stage.show(("red", 14, 10), ("blue", 60, 20))) == {"red": [14], "blue": [60]}


def test_only_images_of_its_own_camera_come_to_a_memory() -> None:
    stage = RememberingStage()
    stage.show(("green", 10, 10))
    memory = stage.keep(mark=ON_IT).memory
    assert isinstance(memory, Colour) and memory.images == 0
    assert lefts(stage.show(("green", 10, 10), camera="back")) == {}
    assert memory.images == 0
    stage.show(("green", 10, 10))
    assert memory.images == 1


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_masks_fit_images_that_are_turned_for_the_model(rotation: int) -> None:
    stage = RememberingStage()

    def scene_of(left: int) -> object:
        frame = Frame(
            "front",
            image_of(("green", left, 10)),
            round(stage.stamp_s * 1e9),
            requested=OBJECTS,
            rotation=rotation,
        )
        stage.stamp_s += 0.1
        assert stage.model.encoded is not None
        [stage.newest] = stage.pipeline.process(
            [frame], stage.segmenter, stage.model.encoded, Settings(min_area=4)
        )
        return lefts(stage.newest)

    scene_of(10)
    stage.keep(mark=ON_IT)
    assert scene_of(70) == {"kept 1": [70]}
    assert stage.newest.objects[0].box == Box(70, 10, SIDE, SIDE)


def test_with_propagation_the_mask_of_the_memory_is_carried_to_later_images() -> None:
    stage = RememberingStage()
    stage.show(("green", 10, 10))
    kept = stage.keep(mark=ON_IT)
    image = image_of(("green", 20, 10))
    encoded = stage.model.encoded
    assert encoded is not None
    batch = Batch((image,), encoded.vocabulary.thresholds(0.5))
    [inferred] = stage.segmenter.segment(batch, encoded)
    frame = Frame("front", image, 200 * 10**9, requested=OBJECTS)
    memories = KeptMemories(
        stage.model.kept, stage.segmenter, stage.segmenter, encoded.of_results, 0.5
    )
    inferred = memories.with_remembered(inferred, frame, image)
    propagator = Propagator()
    propagator.update(frame, inferred)
    later = replace(frame, image=image_of(("green", 23, 10)), stamp_ns=frame.stamp_ns + 10**8)
    propagator.observe(later)
    carried = propagator.carried("flow")
    assert carried is not None
    scene = replace(
        stage.newest, frame=later, segmentation=carried.segmentation, vocabulary=encoded.of_results
    )
    scene = stage.pipeline.completed(replace(scene, objects=()), Settings(min_area=4))
    [detected] = scene.objects
    assert detected.track_id == kept.track_id and abs(detected.box.left - 23) <= 1


def test_a_forgotten_object_leaves_no_memory() -> None:
    stage = RememberingStage()
    stage.show(("green", 10, 10))
    kept = stage.keep(mark=ON_IT)
    assert kept.memory is not None
    memory = weakref.ref(kept.memory)
    stage.show(("green", 10, 10))
    stage.forget()
    del kept
    assert memory() is None
    assert lefts(stage.show(("green", 10, 10))) == {}


def test_a_model_without_a_memory_remembers_nothing() -> None:
    stage = Stage()
    stage.show(("red", 10, 10))
    assert stage.keep().memory is None


# -- lost by its memory ------------------------------------------------------------------------------------


def test_an_object_that_its_memory_has_lost_is_detected_by_its_exemplar_and_remembered_anew() -> (
    None
):
    """After LONGEST_ABSENCE_S, under the same class and track id; then the new memory follows it."""
    stage = SearchingStage()
    stage.show(("green", 10, 10))
    kept = stage.keep(mark=ON_IT)
    assert lefts(stage.show(("green", 12, 10))) == {"kept 1": [12]}
    stage.lose(kept)
    first = weakref.ref(kept.memory)
    for _ in range(3):
        assert lefts(stage.show(("green", 14, 10))) == {}
    assert stage.segmenter.searches == 0
    scene = stage.show(("green", 70, 20), after_s=LONGEST_ABSENCE_S)
    assert lefts(scene) == {"kept 1": [70]}
    assert scene.objects[0].track_id == kept.track_id
    assert scene.vocabulary.names == ("red", "blue", "kept 1")
    [now] = stage.model.kept.all
    assert now.memory is not kept.memory
    del kept
    assert first() is None
    for left in (20, 50):
        scene = stage.show(("green", left, 20))
        assert lefts(scene) == {"kept 1": [left]}
        assert scene.objects[0].track_id == now.track_id
    assert stage.segmenter.searches == 2


def test_the_exemplar_is_searched_for_in_each_image_until_it_is_detected() -> None:
    stage = SearchingStage()
    stage.show(("green", 10, 10))
    stage.lose(stage.keep(mark=ON_IT))
    for step in range(1, 4):
        assert lefts(stage.show(("red", 60, 20), after_s=LONGEST_ABSENCE_S)) == {"red": [60]}
        assert stage.segmenter.searches == 1 + step
    assert lefts(stage.show(("green", 30, 20), ("red", 60, 20))) == {"kept 1": [30], "red": [60]}


def test_what_another_memory_finds_is_not_taken_for_the_lost_object() -> None:
    stage = SearchingStage()
    stage.show(("green", 10, 10), ("green", 60, 20))
    lost = stage.keep("first", mark=ON_IT)
    stage.keep("second", mark=Mark(Box(60, 20, SIDE, SIDE)))
    stage.lose(lost)
    scene = stage.show(("green", 60, 20), after_s=LONGEST_ABSENCE_S)
    assert lefts(scene) == {"second": [60]}
    assert stage.segmenter.searches == 2


def test_each_camera_searches_for_its_own_objects() -> None:
    stage = SearchingStage()
    stage.show(("green", 10, 10))
    stage.lose(stage.keep(mark=ON_IT))
    stage.stamp_s += LONGEST_ABSENCE_S
    assert lefts(stage.show(("green", 10, 10), camera="back")) == {}
    assert stage.segmenter.searches == 0
    assert lefts(stage.show(("green", 10, 10))) == {"kept 1": [10]}


def test_an_image_is_lost_once_where_the_model_fails_with_the_exemplar() -> None:
    stage = SearchingStage()
    stage.show(("green", 10, 10))
    stage.lose(stage.keep(mark=ON_IT))
    stage.segmenter.fails = True
    with pytest.raises(RuntimeError, match="cannot be computed"):
        stage.show(("green", 10, 10), after_s=LONGEST_ABSENCE_S)
    assert lefts(stage.show(("green", 10, 10), ("red", 60, 20))) == {"red": [60]}
    assert stage.segmenter.searches == 1


def test_a_model_that_refuses_exemplars_searches_by_its_memory_alone() -> None:
    stage = RememberingStage()
    stage.show(("green", 10, 10))
    kept = stage.keep(mark=ON_IT)
    assert lefts(stage.show(after_s=LONGEST_ABSENCE_S)) == {}
    assert isinstance(stage.segmenter, RememberingSegmenter)
    assert stage.segmenter.encoded[-1] == ("kept 1",)
    times = len(stage.segmenter.encoded)
    assert lefts(stage.show()) == {}
    assert len(stage.segmenter.encoded) == times, "it was asked once"
    assert lefts(stage.show(("green", 50, 10))) == {"kept 1": [50]}
    assert kept.memory is stage.model.kept.all[0].memory


def test_a_new_threshold_of_the_class_holds_for_the_search() -> None:
    """A class that is set with its exemplar and another threshold stays kept."""
    stage = SearchingStage()
    stage.show(("green", 10, 10))
    stage.lose(stage.keep(mark=ON_IT))
    assert lefts(stage.show(after_s=LONGEST_ABSENCE_S)) == {}
    darker = image_of(("green", 10, 10))
    darker[10 : 10 + SIDE, 10 : 10 + SIDE] -= 10
    for threshold, expected in ((0.97, {}), (0.5, {"kept 1": [10]})):
        stage.model.edit_vocabulary(
            lambda classes, threshold=threshold: [replace(c, threshold=threshold) for c in classes]
        )
        stage.stamp_s += 0.1
        assert lefts(stage.scene_of(darker)) == expected


def test_what_is_less_like_the_exemplar_than_its_own_image_is_not_taken_for_it() -> None:
    """Its score is under nine tenths of the one where it was marked, though above the threshold."""
    stage = SearchingStage()
    stage.show(("green", 10, 10))
    stage.lose(stage.keep(mark=ON_IT))
    stage.stamp_s += LONGEST_ABSENCE_S
    image = image_of(("green", 10, 10))
    image[10 : 10 + SIDE, 10 : 10 + SIDE, 2] += 60
    for _ in range(2):
        stage.stamp_s += 0.1
        assert lefts(stage.scene_of(image)) == {}
    assert lefts(stage.show(("green", 40, 10))) == {"kept 1": [40]}
