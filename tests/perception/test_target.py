# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Choosing an object and following it by its track id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from zs_seg_ros.errors import NotTrackedError, SelectionError
from zs_seg_ros.perception.target import (
    MEMORY_S,
    Choice,
    RecentScenes,
    SceneObjects,
    Target,
    TargetState,
    choose,
)
from zs_seg_ros.types import Box, DetectedObject, Frame, Scene, Segmentation, VisibleSurface
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

SECOND_NS = 10**9
VOCABULARY = Vocabulary().changed_to([TargetClass("mug"), TargetClass("duck")])
MUG, DUCK = VOCABULARY.ids


def detected(
    track_id: int, class_id: int = MUG, left: int = 0, distance_m: float | None = None
) -> DetectedObject:
    """An object of 4x4 pixels whose first column is not in its mask."""
    mask = np.ones((4, 4), np.bool_)
    mask[:, 0] = False
    centre = None if distance_m is None else (0.0, 0.0, distance_m)
    surface = None if centre is None else VisibleSurface(centre, centre, centre)
    return DetectedObject(class_id, 1 / (1 + track_id), Box(left, 0, 4, 4), mask, track_id, surface)


def scene(
    stamp_s: float, objects: Sequence[DetectedObject], vocabulary: Vocabulary = VOCABULARY
) -> Scene:
    frame = Frame("camera", np.zeros((8, 32, 3), np.uint8), stamp_ns=round(stamp_s * SECOND_NS))
    return Scene(frame, Segmentation.empty((8, 32)), vocabulary, tuple(objects))


def objects_of(*objects: DetectedObject) -> SceneObjects:
    return SceneObjects(SECOND_NS, objects, VOCABULARY)


def target(of: DetectedObject, stamp_s: float = 1.0) -> Target:
    stamp_ns = round(stamp_s * SECOND_NS)
    return Target("camera", of, "mug", VOCABULARY.version, stamp_ns, stamp_ns)


# --- choosing ---


def test_the_nearest_of_a_class_is_chosen() -> None:
    scene = objects_of(
        detected(1, MUG, distance_m=2.0),
        detected(2, DUCK, distance_m=0.5),
        detected(3, MUG, 9, 1.0),
    )
    assert choose(scene, Choice(class_name="mug")).track_id == 3
    assert choose(scene, Choice()).track_id == 2


def test_without_depth_the_most_confident_is_chosen() -> None:
    assert choose(objects_of(detected(5), detected(2), detected(9)), Choice()).track_id == 2


def test_an_object_with_a_position_goes_before_one_without() -> None:
    assert choose(objects_of(detected(1), detected(2, distance_m=80.0)), Choice()).track_id == 2


def test_the_object_with_most_pixels_in_a_region_is_chosen_not_the_nearest() -> None:
    scene = objects_of(detected(1, left=0, distance_m=0.3), detected(2, left=4, distance_m=3.0))
    assert choose(scene, Choice(region=Box(2, 0, 6, 4))).track_id == 2
    assert choose(scene, Choice(region=Box(0, 0, 6, 4))).track_id == 1


@pytest.mark.parametrize(("column", "track_id"), [(1, 1), (3, 1), (5, 2), (7, 2)])
def test_a_pixel_chooses_the_object_whose_mask_has_it(column: int, track_id: int) -> None:
    scene = objects_of(detected(1, left=0), detected(2, left=4))
    assert choose(scene, Choice(region=Box(column, 2, 1, 1))).track_id == track_id


@pytest.mark.parametrize("column", [4, 8, 31, 5000])
def test_a_pixel_beside_the_masks_chooses_nothing(column: int) -> None:
    scene = objects_of(detected(1, left=0), detected(2, left=4))
    with pytest.raises(SelectionError, match=rf"no object at \({column}, 2\), 1x1 pixels"):
        choose(scene, Choice(region=Box(column, 2, 1, 1)))


def test_all_given_fields_must_fit() -> None:
    scene = objects_of(detected(1, MUG), detected(2, DUCK, 8))
    with pytest.raises(SelectionError, match="no object of the class 'duck' with the track id 1"):
        choose(scene, Choice(track_id=1, class_name="duck"))


def test_a_class_outside_of_the_vocabulary_is_named() -> None:
    with pytest.raises(SelectionError, match="'cat' is not in the vocabulary"):
        choose(objects_of(detected(1)), Choice(class_name="cat"))


def test_an_object_that_is_detected_for_the_first_time_cannot_be_followed() -> None:
    with pytest.raises(NotTrackedError, match="no track id yet"):
        choose(objects_of(detected(0)), Choice(class_name="mug"))


# --- memory ---


def test_a_scene_is_remembered_by_its_stamp_for_some_seconds() -> None:
    recent = RecentScenes()
    for step in range(20):
        recent.add(scene(step * 0.5, [detected(step + 1)]))
    assert recent.at(0).objects[0].track_id == 20
    assert recent.at(round(9.0 * SECOND_NS)).objects[0].track_id == 19
    assert recent.at(round((9.5 - MEMORY_S) * SECOND_NS)).objects[0].track_id == 10
    with pytest.raises(SelectionError, match=r"no image with the stamp 4\.000"):
        recent.at(4 * SECOND_NS)


def test_nothing_is_known_before_the_first_scene() -> None:
    with pytest.raises(SelectionError, match="no image has been segmented yet"):
        RecentScenes().at(0)


def test_time_that_runs_backwards_clears_the_memory() -> None:
    recent = RecentScenes()
    recent.add(scene(50.0, [detected(1)]))
    recent.add(scene(2.0, [detected(2)]))
    assert recent.at(0).objects[0].track_id == 2
    with pytest.raises(SelectionError):
        recent.at(50 * SECOND_NS)


def test_large_masks_shorten_the_memory() -> None:
    side = 4000
    mask = np.ones((side, side), np.bool_)
    large = DetectedObject(MUG, 0.9, Box(0, 0, side, side), mask, 1)
    recent = RecentScenes()
    for step in range(1, 5):
        recent.add(scene(step * 0.01, [large]))
    assert recent.at(40_000_000) and recent.at(30_000_000)
    with pytest.raises(SelectionError):
        recent.at(20_000_000)


# --- following ---


def test_the_target_is_the_object_with_its_track_id() -> None:
    after = target(detected(7)).in_scene(scene(1.1, [detected(3), detected(7, left=20)]))
    assert after.state is TargetState.VISIBLE
    assert after.detected.box.left == 20
    assert after.seen_ns == after.stamp_ns == round(1.1 * SECOND_NS)


def test_a_hidden_target_is_visible_again_when_its_track_id_returns() -> None:
    state = target(detected(7))
    for step in range(1, 11):
        state = state.in_scene(scene(1 + step / 10, [detected(3)]))
        assert state.state is TargetState.HIDDEN and state.seen_ns == SECOND_NS
    state = state.in_scene(scene(2.1, [detected(7)]))
    assert state.state is TargetState.VISIBLE and not state.problem


def test_a_target_that_stays_away_is_lost_and_stays_lost() -> None:
    state = target(detected(7)).in_scene(scene(5.0, []))
    assert state.state is TargetState.LOST
    assert "'mug' is lost: it was not detected for 4 s" in state.problem
    assert state.in_scene(scene(5.1, [detected(7)])).state is TargetState.LOST


def test_another_vocabulary_and_time_that_runs_backwards_end_the_selection() -> None:
    other = VOCABULARY.changed_to([TargetClass("mug")])
    changed = target(detected(7)).in_scene(scene(1.1, [detected(7)], other))
    assert changed.state is TargetState.LOST and "vocabulary has changed" in changed.problem
    again = target(detected(7), 9.0).in_scene(scene(1.1, [detected(7)]))
    assert again.state is TargetState.LOST and "time ran backwards" in again.problem


def test_the_same_stamp_twice_is_no_step_back() -> None:
    assert target(detected(7)).in_scene(scene(1.0, [detected(7)])).state is TargetState.VISIBLE
    assert replace(target(detected(7)), state=TargetState.HIDDEN).problem == ""
