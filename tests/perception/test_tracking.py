# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Tracking: which detections keep a track id, and which get another one."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zs_seg_ros.perception import tracking
from zs_seg_ros.perception.tracking import LONGEST_ABSENCE_S, Tracker
from zs_seg_ros.types import Box, DetectedObject

SECOND_NS = 1_000_000_000
START_NS = 1_700_000_000 * SECOND_NS
MUG, DUCK = 1, 7

Frame = tuple[float, Sequence[DetectedObject]]
"""Seconds since the start, and the detections."""


def detection(
    x: float, y: float = 100, width: int = 40, height: int = 30, class_id: int = MUG
) -> DetectedObject:
    """Return a detection with the centre (x, y)."""
    box = Box(round(x - width / 2), round(y - height / 2), width, height)
    return DetectedObject(class_id, 0.9, box, np.ones((height, width), bool))


def play(tracker: Tracker, frames: Iterable[Frame], vocabulary_version: int = 1) -> list[list[int]]:
    """Return the track ids of each frame."""
    return [
        [
            tracked.track_id
            for tracked in tracker.update(
                objects, START_NS + round(seconds * SECOND_NS), vocabulary_version
            )
        ]
        for seconds, objects in frames
    ]


def only_id(frames: Iterable[Sequence[int]]) -> int:
    """Return the track id of frames with one object each, which must all have the same."""
    (track_id,) = {i for frame in frames for i in frame}
    assert track_id > 0
    return track_id


@pytest.mark.parametrize("rate_hz", [1, 2, 5, 10, 30, 60])
def test_a_moving_object_keeps_its_id_at_any_frame_rate(rate_hz: int) -> None:
    times = [i / rate_hz for i in range(5 * rate_hz)]
    ids = play(Tracker(), [(t, [detection(20 + 40 * t)]) for t in times])
    assert ids[0] == [0]  # the second detection gets an id
    only_id(ids[1:])


def test_frames_may_be_received_at_irregular_times() -> None:
    random = np.random.default_rng(0)
    times = np.cumsum(random.uniform(0.01, 0.5, 60))
    ids = play(Tracker(), [(t, [detection(20 + 60 * t, 300 - 20 * t)]) for t in times])
    only_id(ids[1:])


@pytest.mark.parametrize("rate_hz", [5, 10, 30])
def test_objects_of_one_class_that_cross_keep_their_ids(rate_hz: int) -> None:
    times = [i / rate_hz for i in range(4 * rate_hz + 1)]
    frames = [(t, [detection(50 + 100 * t, 100), detection(450 - 100 * t, 110)]) for t in times]
    ids = play(Tracker(), frames)
    assert len({tuple(frame) for frame in ids[1:]}) == 1
    assert ids[-1][0] != ids[-1][1]


@pytest.mark.parametrize("rate_hz", [1, 5, 10, 30, 60])
@pytest.mark.parametrize("speed_px_s", [0, 40])
def test_an_object_hidden_for_a_second_keeps_its_id(rate_hz: int, speed_px_s: int) -> None:
    """Another object of its class, which stays in view, does not get its id."""
    tracker = Tracker()
    times = [i / rate_hz for i in range(6 * rate_hz)]
    frames = [
        (t, [detection(300, 200)] + [detection(60 + speed_px_s * t)] * (not 3 <= t <= 4))
        for t in times
    ]
    ids = play(tracker, frames)
    assert only_id(frame[1:] for frame in ids[1:]) != only_id(frame[:1] for frame in ids[1:])


def test_an_object_that_is_hidden_gradually_keeps_its_id() -> None:
    """Its box shrinks behind the left edge of an obstacle, which it leaves on the right."""
    going = [
        (i / 10, [detection(100 + 20 - (40 - 2 * i) / 2, width=40 - 2 * i)]) for i in range(19)
    ]
    coming = [(3 + i / 10, [detection(130 + i, width=2 + 2 * i)]) for i in range(20)]
    only_id(play(Tracker(), going + coming)[1:])


def test_an_object_that_is_absent_for_too_long_gets_another_id() -> None:
    tracker = Tracker()
    before = play(tracker, [(t, [detection(100)]) for t in (0.0, 0.1)])
    play(tracker, [(0.1 + t / 10, []) for t in range(1, int(10 * LONGEST_ABSENCE_S) + 1)])
    after = play(tracker, [(0.1 + LONGEST_ABSENCE_S + t, [detection(100)]) for t in (0.1, 0.2)])
    assert after[0] == [0]
    assert only_id(after[1:]) != only_id(before[1:])


def test_an_object_far_from_the_prediction_gets_another_id() -> None:
    ids = play(Tracker(), [(i / 10, [detection(100 if i < 5 else 250)]) for i in range(10)])
    assert only_id(ids[1:5]) != only_id(ids[6:])


def test_an_object_that_changes_its_class_gets_another_id() -> None:
    frames = [(i / 10, [detection(100, class_id=MUG if i < 5 else DUCK)]) for i in range(10)]
    ids = play(Tracker(), frames)
    assert ids[5] == [0]
    assert only_id(ids[1:5]) != only_id(ids[6:])


def test_objects_of_two_classes_in_one_place_have_different_ids() -> None:
    frames = [
        (i / 10, [detection(100, class_id=c) for c in (MUG, DUCK)[:: (-1) ** i]]) for i in range(6)
    ]
    ids = play(Tracker(), frames)
    mugs, ducks = zip(*(frame[:: (-1) ** i] for i, frame in enumerate(ids)), strict=True)
    assert only_id([mugs[1:]]) != only_id([ducks[1:]])


def test_of_two_parts_of_an_object_the_larger_one_keeps_the_id() -> None:
    """An arm in front of it leaves a third of it on the left and a half on the right."""
    whole = [detection(100, width=60)]
    parts = [detection(80, width=20), detection(115, width=30)]
    ids = play(Tracker(), [(i / 10, parts if 4 <= i < 8 else whole) for i in range(12)])
    id_of_whole = only_id(ids[1:4])
    assert [frame[1] for frame in ids[4:8]] == [id_of_whole] * 4
    assert only_id(ids[8:]) == id_of_whole


def test_detections_in_single_frames_get_no_id() -> None:
    random = np.random.default_rng(0)
    frames = [(i / 10, [detection(*random.uniform(0, 5000, 2))] * (i % 2)) for i in range(40)]
    assert {i for frame in play(Tracker(), frames) for i in frame} == {0}


def test_objects_of_one_pixel_can_be_tracked() -> None:
    frames = [(i / 10, [detection(10 + 3 * i, 5, width=1, height=1)]) for i in range(20)]
    only_id(play(Tracker(), frames)[1:])


def test_a_new_vocabulary_ends_all_tracks() -> None:
    tracker = Tracker()
    old = play(tracker, [(i / 10, [detection(100)]) for i in range(3)], vocabulary_version=1)
    new = play(tracker, [(0.3 + i / 10, [detection(100)]) for i in range(3)], vocabulary_version=2)
    assert new[0] == [0]
    assert only_id(new[1:]) != only_id(old[1:])


@pytest.mark.parametrize("jump_s", [-1000.0, -0.35, 10.0, 1e6])
def test_a_jump_in_time_ends_all_tracks(jump_s: float) -> None:
    """A recording that starts again has earlier stamps."""
    tracker = Tracker()
    old = play(tracker, [(i / 10, [detection(100)]) for i in range(4)])
    new = play(tracker, [(0.4 + jump_s + i / 10, [detection(100)]) for i in range(4)])
    assert new[0] == [0]
    assert only_id(new[1:]) != only_id(old[1:])


def test_objects_keep_their_ids_when_stamps_repeat() -> None:
    times = [i // 3 / 10 for i in range(60)]
    ids = play(Tracker(), [(t, [detection(50 + 100 * t)]) for t in times])
    only_id(ids[1:])


def test_an_object_keeps_its_id_while_time_stands_still() -> None:
    only_id(play(Tracker(), [(0.0, [detection(100)])] * 50)[1:])


def test_frames_without_objects_have_no_tracked_objects() -> None:
    assert play(Tracker(), [(i / 10, []) for i in range(3)]) == [[], [], []]


def test_a_track_id_in_the_input_is_ignored() -> None:
    (tracked,) = Tracker().update([replace(detection(100), track_id=77)], START_NS, 1)
    assert tracked.track_id == 0


def test_cameras_never_share_an_id() -> None:
    def watch(camera: int) -> set[int]:
        tracker = Tracker()
        frames = [(i / 10, [detection(x) for x in range(0, 1000, 100)]) for i in range(3)]
        return {
            track_id
            for version in range(3)
            for frame in play(tracker, frames, vocabulary_version=version)
            for track_id in frame
            if track_id
        }

    with ThreadPoolExecutor(8) as threads:
        ids_of_cameras = list(threads.map(watch, range(8)))
    assert [len(ids) for ids in ids_of_cameras] == [30] * 8
    assert len(set().union(*ids_of_cameras)) == 8 * 30


def test_objects_stay_untracked_when_all_ids_of_32_bits_are_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracking, "_numbers", itertools.count(2**32 - 1))
    ids = play(Tracker(), [(i / 10, [detection(100), detection(300)]) for i in range(4)])
    assert [sorted(frame) for frame in ids] == [[0, 0]] + [[0, 2**32 - 1]] * 3


boxes = st.builds(
    detection,
    x=st.integers(0, 200),
    y=st.integers(0, 200),
    width=st.integers(1, 60),
    height=st.integers(1, 60),
    class_id=st.integers(1, 3),
)
steps_s = st.sampled_from([0.0, 1e-9, 0.016, 0.1, 1.0, 3.9, 60.0, -0.5])


@given(st.lists(st.tuples(steps_s, st.lists(boxes, max_size=6)), max_size=12))
@settings(deadline=None, max_examples=60)
def test_any_detections_are_returned_in_order_with_ids_that_are_never_shared(
    frames: list[tuple[float, list[DetectedObject]]],
) -> None:
    tracker, stamp_ns = Tracker(), START_NS
    class_of_id: dict[int, int] = {}
    ids_before_the_jump: set[int] = set()
    for step_s, objects in frames:
        stamp_ns += round(step_s * SECOND_NS)
        if step_s < 0 or step_s > LONGEST_ABSENCE_S:
            ids_before_the_jump |= set(class_of_id)
        tracked = tracker.update(objects, stamp_ns, 1)
        assert [without_id(t) for t in tracked] == [without_id(o) for o in objects]
        ids = [t.track_id for t in tracked if t.track_id]
        assert len(ids) == len(set(ids))
        assert ids_before_the_jump.isdisjoint(ids)
        for t in tracked:
            if t.track_id:
                assert class_of_id.setdefault(t.track_id, t.class_id) == t.class_id


def without_id(detected: DetectedObject) -> tuple[object, ...]:
    """Return everything but the track id, comparable."""
    return (detected.class_id, detected.score, detected.box, id(detected.mask), detected.surface)
