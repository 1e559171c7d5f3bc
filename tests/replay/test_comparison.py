# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Comparison of results: which differences pass, and which are detected."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs_seg_ros.replay.comparison import Comparison
from zs_seg_ros.replay.object_matching import mask_iou
from zs_seg_ros.replay.results import FrameResult, ObjectResult
from zs_seg_ros.replay.verdict import Tolerances, Verdict
from zs_seg_ros.types import Box

NAMES = ("duck", "mug")
DEFAULT = Tolerances()


def square(
    left: int, top: int, side: int = 20, name: str = "duck", track_id: int = 1, z_m: float = 1.0
) -> ObjectResult:
    mask = np.ones((side, side), bool)
    return ObjectResult(name, 0.9, Box(left, top, side, side), mask, track_id, (0.0, 0.0, z_m))


def frame(*objects: ObjectResult, index: int = 0) -> FrameResult:
    """Return a result of 100x100 pixels, with these objects drawn into the label image."""
    label = np.zeros((100, 100), np.uint16)
    for detected in objects:
        box = detected.box
        label[box.top : box.top + box.height, box.left : box.left + box.width] = (
            NAMES.index(detected.class_name) + 1
        )
    return FrameResult("camera", index, index, label, objects)


def compare(*pairs: tuple[FrameResult, FrameResult], tolerances: Tolerances = DEFAULT) -> Verdict:
    comparison = Comparison(NAMES, NAMES, tolerances)
    for golden, now in pairs:
        comparison.add(golden, now)
    return comparison.verdict()


def failed(verdict: Verdict) -> set[str]:
    return {c.name for c in (*verdict.classes, *verdict.checks) if not c.passed}


object_lists = st.lists(
    st.builds(
        square,
        st.integers(0, 60),
        st.integers(0, 60),
        st.integers(3, 40),
        st.sampled_from(NAMES),
        st.integers(0, 5),
        st.floats(0.1, 10),
    ),
    max_size=4,
    unique_by=lambda detected: detected.track_id,
)


@given(st.lists(object_lists.map(lambda objects: frame(*objects)), min_size=1, max_size=4))
def test_identical_results_do_not_differ(frames: list[FrameResult]) -> None:
    verdict = compare(*((f, f) for f in frames), tolerances=Tolerances(exact=True))
    assert verdict.passed
    assert verdict.differing == 0
    assert verdict.mean_iou == 1.0


@given(
    object_lists.map(lambda objects: frame(*objects)),
    st.permutations(range(1, 7)),
)
def test_other_track_ids_do_not_differ_while_they_are_consistent(
    golden: FrameResult, renamed: list[int]
) -> None:
    now = replace(
        golden,
        objects=tuple(
            replace(f, track_id=renamed[f.track_id] if f.track_id else 0) for f in golden.objects
        ),
    )
    assert compare((golden, now), (golden, now)).passed


@given(st.integers(1, 30), st.integers(0, 30))
def test_a_shifted_mask_is_detected(right: int, down: int) -> None:
    verdict = compare((frame(square(10, 10)), frame(square(10 + right, 10 + down))))
    assert "duck" in failed(verdict)
    assert "mug" not in failed(verdict)


@pytest.mark.parametrize(
    ("golden", "now", "check"),
    [
        (frame(square(10, 10), square(60, 60)), frame(square(10, 10)), "objects missed"),
        (frame(square(10, 10)), frame(square(10, 10), square(60, 60)), "objects new"),
        (frame(square(10, 10)), frame(square(10, 10, z_m=1.03)), "positions"),
        (frame(square(10, 10)), frame(replace(square(10, 10), position_m=None)), "positions"),
        (frame(replace(square(10, 10), position_m=None)), frame(square(10, 10)), "positions"),
        (frame(square(10, 10)), frame(square(10, 10, track_id=0)), "identities"),
    ],
)
def test_each_check_fails_on_its_kind_of_difference(
    golden: FrameResult, now: FrameResult, check: str
) -> None:
    assert check in failed(compare((golden, now)))


def test_a_confused_class_fails_both_classes() -> None:
    verdict = compare((frame(square(10, 10)), frame(square(10, 10, name="mug"))))
    assert {"duck", "mug", "objects missed", "objects new"} <= failed(verdict)


def test_a_position_within_the_tolerance_passes() -> None:
    assert compare((frame(square(10, 10)), frame(square(10, 10, z_m=1.015)))).passed


def test_exactness_detects_one_pixel_and_a_score_that_are_within_the_tolerances() -> None:
    golden = frame(*(square(0, 0, 90) for _ in range(1)))
    label = golden.label.copy()
    label[0, 0] = 0
    one_pixel = replace(golden, label=label)
    score = replace(golden, objects=(replace(golden.objects[0], score=0.9000001),))
    for now in (one_pixel, score):
        assert compare((golden, now)).passed
        assert failed(compare((golden, now), tolerances=Tolerances(exact=True))) == {"exactness"}


def two_ducks(first: int, second: int) -> FrameResult:
    return frame(square(10, 10, track_id=first), square(60, 60, track_id=second))


@pytest.mark.parametrize(
    ("ids", "switches"),
    [
        ([(5, 6), (5, 6), (5, 6)], 0),
        ([(5, 6), (6, 5), (6, 5)], 2),  # swapped once: each of both
        ([(5, 6), (7, 6), (7, 6)], 1),  # one got a new identity
        ([(5, 6), (0, 6), (5, 6)], 1),  # one was not tracked for a frame
    ],
)
def test_identities_are_counted_when_they_switch(ids: list[tuple[int, int]], switches: int) -> None:
    verdict = compare(*((two_ducks(1, 2), two_ducks(*now)) for now in ids))
    [check] = [c for c in verdict.checks if c.name == "identities"]
    assert check.value.startswith(f"{switches} of 6 ")
    assert check.passed == (switches == 0)


def test_a_class_that_was_removed_from_the_vocabulary_differs_even_if_never_detected() -> None:
    comparison = Comparison(("duck", "mug"), ("duck",), Tolerances())
    comparison.add(frame(square(10, 10)), frame(square(10, 10)))
    [_, mug] = comparison.verdict().classes
    assert (mug.name, mug.passed, mug.note) == ("mug", False, "no longer in the vocabulary")


def test_a_class_that_is_new_differs_as_soon_as_it_is_detected() -> None:
    for now, passed in ((frame(), True), (frame(square(10, 10, name="mug")), False)):
        comparison = Comparison(("duck",), ("duck", "mug"), Tolerances())
        comparison.add(frame(), now)
        [_, mug] = comparison.verdict().classes
        assert (mug.passed, mug.note) == (passed, "not in the golden file")


def test_a_frame_without_results_differs_unless_that_is_allowed() -> None:
    for allowed, passed in ((0.0, False), (0.5, True)):
        comparison = Comparison(NAMES, NAMES, Tolerances(dropped=allowed))
        comparison.add(frame(), frame())
        comparison.add_without_result()
        assert comparison.verdict().passed is passed


def test_the_differences_of_a_frame_are_returned_as_texts() -> None:
    comparison = Comparison(NAMES, NAMES, Tolerances())
    golden = frame(square(10, 10), square(60, 60, name="mug", track_id=2))
    now = frame(square(10, 10, z_m=1.5), square(10, 60, track_id=3))
    assert comparison.add(golden, now).reasons == (
        "duck: IoU 0.500",
        "mug: IoU 0.000",
        "mug missed",
        "duck new",
        "duck: 0.500 m off",
    )


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 30), st.integers(1, 30))
def test_mask_iou_equals_the_iou_of_the_pixels(
    left: int, top: int, side: int, other_side: int
) -> None:
    one, other = square(20, 20, side), square(left, top, other_side)
    a, b = (np.zeros((100, 100), bool) for _ in range(2))
    a[20 : 20 + side, 20 : 20 + side] = True
    b[top : top + other_side, left : left + other_side] = True
    assert mask_iou(one, other) == (a & b).sum() / (a | b).sum()
