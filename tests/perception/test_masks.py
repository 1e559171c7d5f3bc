# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Run-length encoding of masks, and post-processing of segmentations to objects."""

from __future__ import annotations

from array import array

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from zs_seg_ros import ImageError, Segmentation
from zs_seg_ros.perception.masks import decode_runs, encode_all_runs, encode_runs, extract_objects
from zs_seg_ros.types import Box, DetectedObject

ALL = 10**9

pytestmark = pytest.mark.usefixtures("with_and_without_kernels")


def mask_of(*rows: str) -> NDArray[np.bool_]:
    """Return (H, W) bool; '#' is the object."""
    return np.array([[pixel == "#" for pixel in row] for row in rows])


def label_of(*rows: str) -> NDArray[np.uint8]:
    """Return (H, W) class ids of one digit; '.' is background."""
    return np.array([[int(pixel.replace(".", "0")) for pixel in row] for row in rows], np.uint8)


def segmentation_of(*rows: str, confidence: int = 204) -> Segmentation:
    label = label_of(*rows)
    return Segmentation(label, np.where(label > 0, confidence, 0).astype(np.uint8))


def instance(
    score: float = 0.5, left: int = 0, top: int = 0, size: tuple[int, int] = (2, 2)
) -> DetectedObject:
    height, width = size
    return DetectedObject(1, score, Box(left, top, width, height), np.ones(size, np.bool_))


def in_image(detected: DetectedObject, size: tuple[int, int]) -> NDArray[np.bool_]:
    image = np.zeros(size, np.bool_)
    box = detected.box
    image[box.top : box.top + box.height, box.left : box.left + box.width] = detected.mask
    return image


# -- run lengths ---------------------------------------------------------------------------------

MASKS_AND_COUNTS = {
    "background first": (mask_of(".#", "#."), [1, 2, 1]),
    "object first": (mask_of("#.", ".#"), [0, 1, 2, 1]),
    "nothing": (mask_of("...", "..."), [6]),
    "full": (mask_of("###", "###"), [0, 6]),
    "one pixel, set": (mask_of("#"), [0, 1]),
    "one pixel, not set": (mask_of("."), [1]),
    "empty rows": (mask_of("...", "###", "...", "##."), [3, 3, 3, 2, 1]),
    "a hole": (mask_of("###", "#.#", "###"), [0, 4, 1, 4]),
    "a run across the end of a row": (mask_of("..#", "#.."), [2, 2, 2]),
    "no pixels": (np.zeros((0, 0), np.bool_), [0]),
    "no rows": (np.zeros((0, 3), np.bool_), [0]),
    "no columns": (np.zeros((3, 0), np.bool_), [0]),
}


@pytest.mark.parametrize(("mask", "counts"), MASKS_AND_COUNTS.values(), ids=MASKS_AND_COUNTS.keys())
def test_runs_go_row_by_row_and_begin_with_background(
    mask: NDArray[np.bool_], counts: list[int]
) -> None:
    encoded = encode_runs(mask)
    assert encoded.dtype == np.uint32
    assert encoded.tolist() == counts
    assert np.array_equal(decode_runs(counts, *mask.shape), mask)


SIDES = st.integers(0, 12)
MASKS = hnp.arrays(np.bool_, st.tuples(SIDES, SIDES))


@given(MASKS)
def test_decoding_inverts_encoding(mask: NDArray[np.bool_]) -> None:
    counts = encode_runs(mask)
    decoded = decode_runs(counts, *mask.shape)
    assert decoded.dtype == np.bool_ and decoded.shape == mask.shape
    assert np.array_equal(decoded, mask)
    assert counts.sum() == mask.size and counts[1::2].sum() == mask.sum()
    assert (counts[1:] > 0).all()


@given(MASKS)
def test_views_of_any_layout_are_encoded_like_their_copies(mask: NDArray[np.bool_]) -> None:
    for view in (mask.T, mask[::-1], mask[:, ::2]):
        assert np.array_equal(encode_runs(view), encode_runs(view.copy(order="C")))


@given(st.lists(MASKS, max_size=6))
def test_many_masks_are_encoded_as_each_of_them(masks: list[NDArray[np.bool_]]) -> None:
    views = [view for mask in masks for view in (mask, mask.T)]
    encoded = encode_all_runs(views)
    assert len(encoded) == len(views)
    for view, counts in zip(views, encoded, strict=True):
        assert counts.dtype == np.uint32
        assert counts.tolist() == encode_runs(view).tolist()


def test_decoding_inverts_encoding_for_a_large_mask_of_noise() -> None:
    mask = np.random.default_rng(0).random((480, 640)) < 0.5
    assert np.array_equal(decode_runs(encode_runs(mask), 480, 640), mask)


@pytest.mark.parametrize("counts", [[0, 0, 2, 0, 0, 2], (2, 2), array("I", [1, 0, 1, 2, 0])])
def test_runs_of_length_0_and_sequences_of_any_kind_are_read(counts: array[int]) -> None:
    assert decode_runs(counts, 2, 2).tolist() == [[False, False], [True, True]]


DAMAGED = {
    "too few": [1, 2],
    "too many": [1, 2, 2],
    "none": [],
    "negative": [-1, 5],
    "right but for 32 bits": [2**32 - 1, 5],
    "right but for 64 bits": [2**62, 2**62, 2**62, 2**62, 4],
}


@pytest.mark.parametrize("counts", DAMAGED.values(), ids=DAMAGED.keys())
def test_runs_that_do_not_fill_the_mask_are_refused(counts: list[int]) -> None:
    with pytest.raises(ImageError, match=rf"2x2 must add up to 4, .* {sum(counts)}: take counts"):
        decode_runs(counts, 2, 2)


# -- objects from label images -------------------------------------------------------------------


def objects_one_class_at_a_time(segmentation: Segmentation) -> set[tuple[int, bytes, int]]:
    """Return (class id, pixels in the image, score in millionths) of each connected component, by OpenCV."""
    actual = set()
    for class_id in np.unique(segmentation.label[segmentation.label > 0]).tolist():
        of_class = (segmentation.label == class_id).astype(np.uint8)
        count, parts = cv2.connectedComponents(of_class, connectivity=8)
        for part in range(1, count):
            pixels = parts == part
            score = segmentation.confidence[pixels].mean() / 255
            actual.add((class_id, pixels.tobytes(), round(score * 1e6)))
    return actual


@st.composite
def segmentations(draw: st.DrawFn) -> Segmentation:
    size = draw(st.tuples(st.integers(1, 14), st.integers(1, 14)))
    ids = draw(st.sampled_from([(1,), (1, 2), (3, 254), (1, 2, 3, 4), (255, 256, 65534)]))
    dtype = np.uint8 if max(ids) < 255 else np.uint16
    label = draw(hnp.arrays(dtype, size, elements=st.sampled_from((0, *ids))))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    confidence = random.integers(1, 256, size).astype(np.uint8)
    return Segmentation(label, np.where(label > 0, confidence, 0).astype(np.uint8))


@given(segmentations())
def test_objects_are_the_connected_components_of_each_class(segmentation: Segmentation) -> None:
    objects = extract_objects(segmentation, 1, ALL)
    size = segmentation.label.shape
    actual = {
        (detected.class_id, in_image(detected, size).tobytes(), round(detected.score * 1e6))
        for detected in objects
    }
    assert actual == objects_one_class_at_a_time(segmentation)
    assert len(actual) == len(objects)


@given(segmentations())
def test_every_labelled_pixel_belongs_to_exactly_one_object(segmentation: Segmentation) -> None:
    covered = np.zeros(segmentation.label.shape, np.int64)
    for detected in extract_objects(segmentation, 1, ALL):
        covered += in_image(detected, segmentation.label.shape)
    assert np.array_equal(covered, segmentation.label > 0)


@given(segmentations())
def test_boxes_are_tight(segmentation: Segmentation) -> None:
    for detected in extract_objects(segmentation, 1, ALL):
        assert detected.mask.dtype == np.bool_
        for border in (
            detected.mask[0],
            detected.mask[-1],
            detected.mask[:, 0],
            detected.mask[:, -1],
        ):
            assert border.any()


@given(segmentations(), st.integers(-1, 6), st.integers(0, 6))
def test_small_objects_are_left_out_first_and_less_confident_ones_next(
    segmentation: Segmentation, min_area: int, max_objects: int
) -> None:
    everything = extract_objects(segmentation, 1, ALL)
    ranks = [(-detected.score, -detected.area) for detected in everything]
    assert ranks == sorted(ranks)
    expected = [detected.box for detected in everything if detected.area >= min_area][:max_objects]
    assert [
        detected.box for detected in extract_objects(segmentation, min_area, max_objects)
    ] == expected


SHAPES = {
    "spiral": ("#########", "........#", "#######.#", "#.....#.#", "#.###.#.#", "#.#...#.#",
               "#.#####.#", "#.......#", "#########"),
    "comb, teeth up": ("#.#.#.#.#", "#.#.#.#.#", "#########"),
    "comb, teeth down": ("#########", "#.#.#.#.#", "#.#.#.#.#"),
    "joined last and from the right": ("....#", "..#.#", "#.#.#", "#.#.#", "#.###", "###.."),
    "zigzag": ("#......", ".#.....", "..#....", ".#.....", "#......", ".#....."),
    "chessboard": ("#.#.#", ".#.#.", "#.#.#"),
    "ring": ("#####", "#...#", "#####"),
}  # fmt: skip


@pytest.mark.parametrize("rows", SHAPES.values(), ids=SHAPES.keys())
def test_a_winding_shape_is_one_object(rows: tuple[str, ...]) -> None:
    (detected,) = extract_objects(segmentation_of(*(row.replace("#", "7") for row in rows)), 1, ALL)
    assert detected.class_id == 7
    assert np.array_equal(in_image(detected, (len(rows), len(rows[0]))), mask_of(*rows))


def test_different_classes_never_merge_even_where_their_corners_cross() -> None:
    objects = extract_objects(segmentation_of("12", "21"), 1, ALL)
    assert sorted((detected.class_id, detected.area) for detected in objects) == [(1, 2), (2, 2)]


def test_the_ends_of_rows_do_not_touch_the_starts_of_others() -> None:
    objects = extract_objects(segmentation_of("..1", "...", "1..", "..1", "1.."), 1, ALL)
    assert [detected.area for detected in objects] == [1, 1, 1, 1]


def test_an_object_has_its_mask_in_its_box_and_its_mean_confidence() -> None:
    label = label_of("......", "..11..", ".1....", "2.....")
    confidence = label * np.uint8(100)
    confidence[1, 2] = 250
    duck, mug = sorted(
        extract_objects(Segmentation(label, confidence), 1, ALL),
        key=lambda detected: detected.class_id,
    )
    assert duck.box == Box(left=1, top=1, width=3, height=2)
    assert np.array_equal(duck.mask, mask_of(".##", "#.."))
    assert duck.score == pytest.approx((250 + 100 + 100) / 3 / 255)
    assert (duck.area, duck.track_id, duck.surface) == (3, 0, None)
    assert mug.box == Box(0, 3, 1, 1) and mug.score == pytest.approx(200 / 255)


def test_of_equally_confident_objects_the_larger_then_the_upper_left_comes_first() -> None:
    objects = extract_objects(segmentation_of(".2.3.", ".....", "1..44"), 1, ALL)
    assert [detected.class_id for detected in objects] == [4, 2, 3, 1]


def test_min_area_counts_pixels_not_the_box() -> None:
    ring = segmentation_of("111", "1.1", "111")
    assert len(extract_objects(ring, 8, ALL)) == 1
    assert extract_objects(ring, 9, ALL) == ()


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0), (1, 1), (48, 64)])
def test_a_label_image_without_labels_has_no_objects(size: tuple[int, int]) -> None:
    assert extract_objects(Segmentation.empty(size), 0, ALL) == ()


def test_a_class_that_fills_the_image_is_one_object() -> None:
    label = np.full((48, 64), 9, np.uint8)
    (detected,) = extract_objects(Segmentation(label, np.full_like(label, 255)), 1, ALL)
    assert (detected.box, detected.area, detected.score) == (Box(0, 0, 64, 48), 48 * 64, 1.0)


def noise(classes: int, share: float) -> Segmentation:
    random = np.random.default_rng(0)
    label = random.integers(1, classes + 1, (480, 640), np.uint8)
    label[random.random(label.shape) > share] = 0
    confidence = random.integers(1, 256, label.shape).astype(np.uint8)
    return Segmentation(label, np.where(label > 0, confidence, 0).astype(np.uint8))


@pytest.mark.parametrize(("classes", "share"), [(8, 0.02), (8, 0.9), (254, 0.9), (1, 0.5)])
@pytest.mark.parametrize("min_area", [1, 50])
def test_noise_has_at_most_a_hundred_objects(classes: int, share: float, min_area: int) -> None:
    segmentation = noise(classes, share)
    objects = extract_objects(segmentation, min_area, 100)
    assert len(objects) <= 100
    assert all(detected.area >= min_area for detected in objects)


def test_the_objects_of_noise_are_exact() -> None:
    everywhere = noise(classes=2, share=0.8)
    segmentation = Segmentation(everywhere.label[:60, :80], everywhere.confidence[:60, :80])
    actual = {
        (detected.class_id, in_image(detected, (60, 80)).tobytes(), round(detected.score * 1e6))
        for detected in extract_objects(segmentation, 1, ALL)
    }
    assert actual == objects_one_class_at_a_time(segmentation)
    assert len(actual) > 100


# -- instances of the model ----------------------------------------------------------------------


def with_instances(*instances: DetectedObject) -> Segmentation:
    """Return a segmentation whose label image differs from its instances, to show that it is not used."""
    label = np.ones((8, 8), np.uint8)
    return Segmentation(label, label, instances)


def test_instances_of_the_model_are_not_changed_though_they_overlap() -> None:
    below, above = instance(0.4, size=(5, 5)), instance(0.9, left=1, top=2, size=(3, 3))
    assert extract_objects(with_instances(below, above), 1, ALL) == (above, below)


def test_instances_that_are_small_or_empty_are_left_out() -> None:
    nothing = DetectedObject(1, 0.9, Box(0, 0, 2, 2), np.zeros((2, 2), np.bool_))
    no_box = DetectedObject(1, 0.9, Box(3, 3, 0, 0), np.zeros((0, 0), np.bool_))
    small, large = instance(0.8, size=(1, 3)), instance(0.2, size=(2, 2))
    segmentation = with_instances(nothing, small, large, no_box)
    assert extract_objects(segmentation, 0, ALL) == (small, large)
    assert extract_objects(segmentation, 3, ALL) == (small, large)
    assert extract_objects(segmentation, 4, ALL) == (large,)


def test_the_most_confident_instances_stay_and_larger_ones_among_equals() -> None:
    weak, small, large, strong = (
        instance(0.1),
        instance(0.5, size=(1, 1)),
        instance(0.5, size=(4, 4)),
        instance(0.9),
    )
    segmentation = with_instances(weak, small, large, strong)
    assert extract_objects(segmentation, 1, 3) == (strong, large, small)
    assert extract_objects(segmentation, 1, 0) == ()


def test_a_model_that_separates_instances_may_detect_none() -> None:
    assert extract_objects(with_instances(), 1, ALL) == ()
