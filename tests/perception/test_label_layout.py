# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The places of labels: over no other label, hardly over other objects, and connected to their own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from zs_seg_ros.perception.label_layout import MOST_HIDDEN, PlacedLabel, lay_out
from zs_seg_ros.types import Box, DetectedObject

SIZE = (240, 320)


def disc(x: int, y: int, radius: int, size: tuple[int, int] = SIZE) -> DetectedObject:
    """Return the part of a disc that is inside the image."""
    left, top = max(0, x - radius), max(0, y - radius)
    right, bottom = min(size[1], x + radius + 1), min(size[0], y + radius + 1)
    rows, columns = np.mgrid[top:bottom, left:right]
    mask = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
    return DetectedObject(1, 0.9, Box(left, top, right - left, bottom - top), mask)


def measure(text: str) -> tuple[int, int]:
    return 6 + 7 * len(text), 14


def placed(
    objects: Sequence[DetectedObject],
    texts: Sequence[str] = (),
    size: tuple[int, int] = SIZE,
    shortened: int = 3,
) -> list[PlacedLabel]:
    texts = texts or [f"object {number}" for number in range(len(objects))]
    return lay_out(objects, texts, [text[:shortened] for text in texts], size, measure)


def pixels(box: Box) -> tuple[slice, slice]:
    return slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)


def owners(objects: Sequence[DetectedObject], size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return the index of the object of each pixel, -1 for none; of two on a pixel, the smaller one."""
    owner = np.full(size, -1)
    for index in sorted(range(len(objects)), key=lambda index: -objects[index].area):
        owner[pixels(objects[index].box)][objects[index].mask] = index
    return owner


def overlap(one: Box, other: Box) -> bool:
    across = one.left < other.left + other.width and other.left < one.left + one.width
    return across and one.top < other.top + other.height and other.top < one.top + one.height


def near(box: Box, margin: int) -> tuple[slice, slice]:
    top, left = max(0, box.top - margin), max(0, box.left - margin)
    return slice(top, box.top + box.height + margin), slice(left, box.left + box.width + margin)


DISCS = st.lists(
    st.builds(disc, st.integers(0, 319), st.integers(0, 239), st.integers(4, 45)), max_size=25
)
LENGTHS = st.lists(st.integers(1, 18), min_size=25, max_size=25)


@settings(deadline=None)
@given(DISCS, LENGTHS)
def test_no_label_is_over_another_one_or_outside(
    objects: list[DetectedObject], lengths: list[int]
) -> None:
    labels = placed(objects, ["x" * n for n in lengths[: len(objects)]])
    for one, other in combinations(labels, 2):
        assert not overlap(one.box, other.box)
    for label in labels:
        assert (label.box.width, label.box.height) == measure(label.text)
        assert label.box.left >= 0 and label.box.left + label.box.width <= SIZE[1]
        assert label.box.top >= 0 and label.box.top + label.box.height <= SIZE[0]


@settings(deadline=None)
@given(DISCS, LENGTHS)
def test_labels_hide_at_most_a_twentieth_of_other_objects(
    objects: list[DetectedObject], lengths: list[int]
) -> None:
    owner = owners(objects)
    for label in placed(objects, ["x" * n for n in lengths[: len(objects)]]):
        indices, counts = np.unique(owner[pixels(label.box)], return_counts=True)
        hidden = sum(
            count / objects[index].area
            for index, count in zip(indices, counts, strict=True)
            if index >= 0 and (label.in_legend or index != label.index)
        )
        assert hidden <= MOST_HIDDEN + 1e-5


@settings(deadline=None)
@given(DISCS, LENGTHS)
@example([disc(215, 179, 32), disc(227, 166, 27)], [1] * 25)  # a sliver on the way of the line
def test_each_label_touches_its_object_or_has_a_line_or_a_letter_that_does(
    objects: list[DetectedObject], lengths: list[int]
) -> None:
    owner = owners(objects)
    labels = placed(objects, ["x" * n for n in lengths[: len(objects)]])
    on_objects = {label.text for label in labels if not label.in_legend}
    for label in labels:
        if label.in_legend:
            assert label.text.split()[0] in on_objects
        elif label.line:
            (x, y), end = label.line
            assert label.box.left <= x < label.box.left + label.box.width
            assert label.box.top <= y < label.box.top + label.box.height
            assert owner[end[1], end[0]] == label.index
        else:
            assert (owner[near(label.box, 6)] == label.index).any()


@settings(deadline=None)
@given(DISCS, LENGTHS)
@example(  # a line by the corner of a label
    [
        *(disc(22, 237, 44), disc(181, 111, 45), disc(181, 156, 36)),
        *(disc(232, 176, 28), disc(191, 152, 6), disc(283, 140, 36)),
    ],
    [2, 2, 1, 1, 2, 4] + [1] * 19,
)
def test_lines_go_over_no_label_that_was_there_before(
    objects: list[DetectedObject], lengths: list[int]
) -> None:
    earlier: list[Box] = []
    for label in placed(objects, ["x" * n for n in lengths[: len(objects)]]):
        if label.line:
            (x, y), (end_x, end_y) = label.line
            for share in np.linspace(0, 1, 400):
                point = Box(round(x + share * (end_x - x)), round(y + share * (end_y - y)), 1, 1)
                assert not any(overlap(point, box) for box in earlier)
        earlier.append(label.box)


@settings(deadline=None, max_examples=30)
@given(DISCS)
def test_the_same_objects_have_the_same_places(objects: list[DetectedObject]) -> None:
    assert placed(objects) == placed(objects)


@given(st.integers(30, 290), st.integers(60, 200), st.integers(8, 40))
def test_a_single_object_has_its_label_above_it(x: int, y: int, radius: int) -> None:
    [label] = placed([disc(x, y, radius)])
    assert label.line is None and not label.in_legend
    assert y - radius - 4 <= label.box.top + label.box.height <= y - radius + 1
    middle = label.box.left + label.box.width / 2
    assume(35 < x < 285)
    assert abs(middle - x) <= 4


def test_a_label_between_neighbours_goes_where_it_hides_none() -> None:
    wall = [disc(x, 100, 18) for x in (60, 100, 140, 180, 220, 260)]
    inner = disc(160, 140, 14)
    label = next(label for label in placed([inner, *wall]) if label.index == 0)
    assert label.line is None
    assert (owners([inner, *wall])[pixels(label.box)] <= 0).all()


def test_a_label_that_fits_nowhere_beside_its_object_is_a_letter_and_an_entry_of_the_legend() -> (
    None
):
    around = [
        disc(160 + dx, 60 + dy, 14) for dx in range(-150, 151, 30) for dy in range(-60, 61, 30)
    ]
    labels = placed(around, ["a" * 12] * len(around), shortened=12)
    entries = [label for label in labels if label.in_legend]
    assert entries
    for entry in entries:
        letter = entry.text.split()[0]
        [on_object] = [label for label in labels if label.text == letter]
        assert on_object.index == entry.index
        assert entry.text == f"{letter} {'a' * 12}"
    assert entries[0].box.left == 0 and entries[0].box.top + entries[0].box.height > 220


def test_where_the_text_has_no_place_objects_have_their_short_text() -> None:
    many = [disc(x, y, 14) for y in range(16, 240, 30) for x in range(16, 320, 30)]
    labels = placed(many, ["abcdefghijkl"] * len(many))
    assert sum(label.text == "abc" for label in labels) > 20


def test_stuff_that_covers_the_image_leaves_objects_their_labels() -> None:
    whole = DetectedObject(2, 0.9, Box(0, 0, 320, 240), np.ones((240, 320), bool))
    labels = placed([whole, disc(160, 120, 20)])
    assert {label.index for label in labels} == {0, 1}
    assert not any(label.in_legend for label in labels)


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (10, 10), (3, 5000)])
def test_an_image_without_room_for_a_label_has_none(size: tuple[int, int]) -> None:
    whole = DetectedObject(1, 0.9, Box(0, 0, size[1], size[0]), np.ones(size, bool))
    assert placed([whole], size=size) == []


def test_without_objects_there_are_no_labels() -> None:
    assert placed([]) == []
