"""What counts as the same, and what is caught."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs_seg_ros.replay.comparison import Comparison, Tolerances, Verdict, mask_iou
from zs_seg_ros.replay.results import FoundObject, FrameResult
from zs_seg_ros.types import Box

NAMES = ("duck", "mug")
DEFAULT = Tolerances()


def thing(
    left: int, top: int, side: int = 20, name: str = "duck", track_id: int = 1, z_m: float = 1.0
) -> FoundObject:
    mask = np.ones((side, side), bool)
    return FoundObject(name, 0.9, Box(left, top, side, side), mask, track_id, (0.0, 0.0, z_m))


def frame(*things: FoundObject, index: int = 0) -> FrameResult:
    """100x100, with these things painted into the label image."""
    label = np.zeros((100, 100), np.uint16)
    for found in things:
        box = found.box
        label[box.top : box.top + box.height, box.left : box.left + box.width] = (
            NAMES.index(found.class_name) + 1
        )
    return FrameResult("camera", index, index, label, things)


def compare(*pairs: tuple[FrameResult, FrameResult], tolerances: Tolerances = DEFAULT) -> Verdict:
    comparison = Comparison(NAMES, NAMES, tolerances)
    for golden, now in pairs:
        comparison.add(golden, now)
    return comparison.verdict()


def failed(verdict: Verdict) -> set[str]:
    return {c.name for c in (*verdict.classes, *verdict.checks) if not c.passed}


things = st.lists(
    st.builds(
        thing,
        st.integers(0, 60),
        st.integers(0, 60),
        st.integers(3, 40),
        st.sampled_from(NAMES),
        st.integers(0, 5),
        st.floats(0.1, 10),
    ),
    max_size=4,
    unique_by=lambda found: found.track_id,
)


@given(st.lists(things.map(lambda found: frame(*found)), min_size=1, max_size=4))
def test_what_is_identical_does_not_differ(frames: list[FrameResult]) -> None:
    verdict = compare(*((f, f) for f in frames), tolerances=Tolerances(exact=True))
    assert verdict.passed
    assert verdict.differing == 0
    assert verdict.mean_iou == 1.0


@given(
    things.map(lambda found: frame(*found)),
    st.permutations(range(1, 7)),
)
def test_other_track_ids_do_not_differ_as_long_as_they_stay(
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
def test_a_shifted_mask_is_caught(right: int, down: int) -> None:
    verdict = compare((frame(thing(10, 10)), frame(thing(10 + right, 10 + down))))
    assert "duck" in failed(verdict)
    assert "mug" not in failed(verdict)


@pytest.mark.parametrize(
    ("golden", "now", "check"),
    [
        (frame(thing(10, 10), thing(60, 60)), frame(thing(10, 10)), "objects missed"),
        (frame(thing(10, 10)), frame(thing(10, 10), thing(60, 60)), "objects new"),
        (frame(thing(10, 10)), frame(thing(10, 10, z_m=1.03)), "positions"),
        (frame(thing(10, 10)), frame(replace(thing(10, 10), position_m=None)), "positions"),
        (frame(replace(thing(10, 10), position_m=None)), frame(thing(10, 10)), "positions"),
        (frame(thing(10, 10)), frame(thing(10, 10, track_id=0)), "identities"),
    ],
)
def test_each_check_catches_what_it_is_for(
    golden: FrameResult, now: FrameResult, check: str
) -> None:
    assert check in failed(compare((golden, now)))


def test_a_class_taken_for_another_is_caught_in_both() -> None:
    verdict = compare((frame(thing(10, 10)), frame(thing(10, 10, name="mug"))))
    assert {"duck", "mug", "objects missed", "objects new"} <= failed(verdict)


def test_a_position_within_the_tolerance_passes() -> None:
    assert compare((frame(thing(10, 10)), frame(thing(10, 10, z_m=1.015)))).passed


def test_exactness_catches_one_pixel_and_a_score_that_tolerances_let_pass() -> None:
    golden = frame(*(thing(0, 0, 90) for _ in range(1)))
    label = golden.label.copy()
    label[0, 0] = 0
    one_pixel = replace(golden, label=label)
    score = replace(golden, objects=(replace(golden.objects[0], score=0.9000001),))
    for now in (one_pixel, score):
        assert compare((golden, now)).passed
        assert failed(compare((golden, now), tolerances=Tolerances(exact=True))) == {"exactness"}


def two_ducks(first: int, second: int) -> FrameResult:
    return frame(thing(10, 10, track_id=first), thing(60, 60, track_id=second))


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


def test_a_class_that_is_not_looked_for_any_more_differs_even_where_it_never_was_found() -> None:
    comparison = Comparison(("duck", "mug"), ("duck",), Tolerances())
    comparison.add(frame(thing(10, 10)), frame(thing(10, 10)))
    [_, mug] = comparison.verdict().classes
    assert (mug.name, mug.passed, mug.note) == ("mug", False, "not looked for any more")


def test_a_class_that_is_new_differs_as_soon_as_it_is_found() -> None:
    for found, passed in ((frame(), True), (frame(thing(10, 10, name="mug")), False)):
        comparison = Comparison(("duck",), ("duck", "mug"), Tolerances())
        comparison.add(frame(), found)
        [_, mug] = comparison.verdict().classes
        assert (mug.passed, mug.note) == (passed, "not in the golden file")


def test_a_frame_without_an_answer_differs_unless_that_is_allowed() -> None:
    for allowed, passed in ((0.0, False), (0.5, True)):
        comparison = Comparison(NAMES, NAMES, Tolerances(dropped=allowed))
        comparison.add(frame(), frame())
        comparison.add_unanswered()
        assert comparison.verdict().passed is passed


def test_what_differs_in_a_frame_is_said_in_words() -> None:
    comparison = Comparison(NAMES, NAMES, Tolerances())
    golden = frame(thing(10, 10), thing(60, 60, name="mug", track_id=2))
    now = frame(thing(10, 10, z_m=1.5), thing(10, 60, track_id=3))
    assert comparison.add(golden, now) == (
        "duck: IoU 0.50",
        "mug: IoU 0.00",
        "mug missed",
        "duck new",
        "duck: 0.500 m off",
    )


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 30), st.integers(1, 30))
def test_the_overlap_of_two_masks_is_that_of_their_pixels(
    left: int, top: int, side: int, other_side: int
) -> None:
    one, other = thing(20, 20, side), thing(left, top, other_side)
    a, b = (np.zeros((100, 100), bool) for _ in range(2))
    a[20 : 20 + side, 20 : 20 + side] = True
    b[top : top + other_side, left : left + other_side] = True
    assert mask_iou(one, other) == (a & b).sum() / (a | b).sum()
