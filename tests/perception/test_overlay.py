# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The overlay: colours, outlines and tags of detections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from zs_seg_ros import TargetClass, Vocabulary
from zs_seg_ros.perception.masks import extract_objects
from zs_seg_ros.perception.overlay import class_colour, draw_overlay
from zs_seg_ros.types import DetectedObject, Segmentation

VGA = (480, 640)


def vocabulary_of(*names: str, ids_from: int = 1) -> Vocabulary:
    earlier = Vocabulary(ids_given={"old": ids_from - 1} if ids_from > 1 else {})
    return earlier.changed_to(TargetClass(name) for name in names)


def grey_image(size: tuple[int, int]) -> np.ndarray:
    return np.full((*size, 3), 100, np.uint8)


def labelled(size: tuple[int, int], **boxes: tuple[int, int, int, int]) -> np.ndarray:
    """Return (H, W) uint8 with rectangles: id_1=(left, top, width, height) and so on."""
    label = np.zeros(size, np.uint8)
    for name, (left, top, width, height) in boxes.items():
        label[top : top + height, left : left + width] = int(name.removeprefix("id_"))
    return label


def objects_in(label: np.ndarray, confidence: int = 200) -> tuple[DetectedObject, ...]:
    confidences = np.where(label > 0, confidence, 0).astype(np.uint8)
    return extract_objects(Segmentation(label, confidences), min_area=1, max_objects=1000)


def overlay(label: np.ndarray, vocabulary: Vocabulary, confidence: int = 200) -> np.ndarray:
    objects = objects_in(label, confidence)
    return draw_overlay(grey_image(label.shape), label, objects, vocabulary)


def changed_columns(drawn: np.ndarray) -> int:
    return int((drawn != 100).any(axis=(0, 2)).sum())


def changed_rows(drawn: np.ndarray) -> int:
    return int((drawn != 100).any(axis=(1, 2)).sum())


def pixels_of(drawn: np.ndarray, class_id: int) -> int:
    return int((drawn == class_colour(class_id)).all(axis=2).sum())


def test_without_detections_the_image_is_unchanged() -> None:
    drawn = overlay(np.zeros(VGA, np.uint8), vocabulary_of("duck"))
    assert (drawn == 100).all()
    assert drawn.dtype == np.uint8 and drawn.shape == (*VGA, 3)


def test_an_object_is_tinted_with_its_colour_and_outlined_bright_inside_and_black_outside() -> None:
    drawn = overlay(labelled(VGA, id_1=(300, 200, 80, 80)), vocabulary_of("duck"))
    colour = class_colour(1)
    assert drawn[200, 340].tolist() == list(colour)
    assert drawn[281, 340].tolist() == [0, 0, 0]
    tint = 0.55 * 100 + 0.45 * np.array(colour)
    assert np.abs(drawn[240, 340] - tint).max() <= 1


def test_touching_objects_are_separated_by_their_outlines() -> None:
    label = labelled(VGA, id_1=(200, 200, 80, 80), id_2=(280, 200, 80, 80))
    drawn = overlay(label, vocabulary_of("duck", "mug"))
    assert drawn[240, 279].tolist() == list(class_colour(1))
    assert drawn[240, 280].tolist() == list(class_colour(2))


def test_the_tag_has_name_and_score() -> None:
    label = labelled(VGA, id_1=(300, 200, 80, 80))
    duck = overlay(label, vocabulary_of("duck"))
    assert changed_columns(overlay(label, vocabulary_of("a much longer name"))) > (
        changed_columns(duck) + 50
    )
    assert (overlay(label, vocabulary_of("duck"), confidence=30) != duck).any()


@pytest.mark.parametrize("size", [(240, 320), (480, 640), (720, 1280)])
def test_tags_grow_with_the_image_so_that_they_stay_readable(
    size: tuple[int, int],
) -> None:
    side = size[0] // 4
    label = labelled(size, id_1=(size[1] // 2, size[0] // 2, side, side))
    tag_rows = changed_rows(overlay(label, vocabulary_of("duck"))) - side
    assert size[0] / 30 < tag_rows < size[0] / 12


@pytest.mark.parametrize(("left", "top"), [(0, 0), (600, 0), (0, 440), (600, 440), (300, 0)])
def test_tags_at_the_border_stay_inside_the_image(left: int, top: int) -> None:
    vocabulary = vocabulary_of("a rather long name")
    in_the_middle = overlay(labelled(VGA, id_1=(300, 220, 40, 40)), vocabulary)
    at_the_border = overlay(labelled(VGA, id_1=(left, top, 40, 40)), vocabulary)
    # A label's place may leave some pixels free at the right and the lower border.
    assert 0 <= changed_columns(at_the_border) - changed_columns(in_the_middle) < 6


def test_tags_do_not_cover_each_other() -> None:
    boxes = {f"id_{i}": (300 + 12 * i, 240 + 2 * i, 12, 12) for i in range(1, 7)}
    vocabulary = vocabulary_of("duck", "mug", "ball", "star", "cone", "ring")
    together = overlay(labelled(VGA, **boxes), vocabulary)
    for class_id in range(1, 7):
        alone = overlay(labelled(VGA, **{f"id_{class_id}": boxes[f"id_{class_id}"]}), vocabulary)
        assert pixels_of(together, class_id) >= pixels_of(alone, class_id) - 12 * 12


def test_every_object_has_a_tag_and_specks_have_none() -> None:
    label = labelled(VGA, id_1=(20, 20, 3, 3))
    assert changed_columns(overlay(label, vocabulary_of("duck"))) < 20
    label[300:400, 400:500] = 1
    label[100:180, 200:280] = 1
    drawn = overlay(label, vocabulary_of("duck"))
    assert (drawn[:60, 60:] == 100).all()
    assert (drawn[270:298, 400:500] != 100).any()
    assert (drawn[75:98, 200:280] != 100).any()


def test_the_track_id_is_written_beside_the_score() -> None:
    label = labelled(VGA, id_1=(300, 200, 80, 80))
    [detected] = objects_in(label)
    drawn = [
        draw_overlay(
            grey_image(VGA), label, [replace(detected, track_id=track)], vocabulary_of("d")
        )
        for track in (0, 7, 12345)
    ]
    widths = [int((image[150:199] != 100).any(axis=(0, 2)).sum()) for image in drawn]
    assert widths[0] < widths[1] < widths[2]


VIEWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "plain": lambda rgb: rgb,
    "bgr": lambda rgb: rgb[..., ::-1].copy()[..., ::-1],
    "rgba": lambda rgb: np.dstack([rgb, rgb[..., :1]])[..., :3],
    "upside down": lambda rgb: rgb[::-1].copy()[::-1],
    "mirrored": lambda rgb: rgb[:, ::-1].copy()[:, ::-1],
    "columns first": np.asfortranarray,
    "16 bits": lambda rgb: rgb.astype(np.uint16) * 257,
    "16 bits, foreign byte order": lambda rgb: (rgb.astype(np.uint16) * 257).astype(
        np.dtype(np.uint16).newbyteorder("S")
    ),
    "16 bits, bgr": lambda rgb: (rgb[..., ::-1].astype(np.uint16) * 257)[..., ::-1],
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
@pytest.mark.parametrize("with_objects", [True, False])
def test_every_view_is_drawn_like_its_plain_copy_and_not_changed(
    view: Callable[[np.ndarray], np.ndarray], with_objects: bool
) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8, endpoint=False)
    label = labelled((60, 80), id_1=(20, 30, 20, 20)) * np.uint8(with_objects)
    objects, vocabulary = objects_in(label), vocabulary_of("duck")
    expected = draw_overlay(rgb.copy(), label, objects, vocabulary)
    image = view(rgb)
    before = image.copy()
    for array in (image, label):
        array.flags.writeable = False
    drawn = draw_overlay(image, label, objects, vocabulary)
    assert (drawn == expected).all()
    assert (image == before).all()
    assert drawn.flags.c_contiguous and drawn.flags.writeable
    assert not np.shares_memory(drawn, image)


@pytest.mark.parametrize("name", ["Übergröße", "猫", "🦆 duck", "x" * 300, "%s {0}"])
def test_any_name_can_be_drawn(name: str) -> None:
    drawn = overlay(labelled(VGA, id_1=(300, 200, 80, 80)), vocabulary_of(name))
    assert pixels_of(drawn, 1) > 100


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 1), (5, 5), (13, 2000)])
def test_images_of_any_size_can_be_drawn(size: tuple[int, int]) -> None:
    assert overlay(np.ones(size, np.uint8), vocabulary_of("duck")).shape == (*size, 3)


def test_hundreds_of_classes_with_ids_of_16_bits_can_be_drawn() -> None:
    vocabulary = vocabulary_of(*(f"object {number}" for number in range(300)), ids_from=60_000)
    label = np.array(vocabulary.ids, np.uint16).reshape(15, 20).repeat(16, 0).repeat(16, 1)
    drawn = overlay(label, vocabulary)
    assert pixels_of(drawn, vocabulary.ids[0]) > 20


def test_sizes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in size"):
        draw_overlay(np.zeros((4, 6, 3), np.uint8), np.zeros((4, 5), np.uint8), (), Vocabulary())


def test_colours_depend_on_the_id_alone_and_differ() -> None:
    colours = [class_colour(class_id) for class_id in range(400)]
    assert colours == [class_colour(class_id) for class_id in range(400)]
    assert colours[0] == (0, 0, 0)
    assert len(set(colours)) == 400


def test_ids_that_follow_each_other_have_colours_that_look_different() -> None:
    colours = np.array([class_colour(class_id) for class_id in range(1, 400)], float)
    for apart in range(1, 5):
        distances = np.linalg.norm(colours[apart:] - colours[:-apart], axis=1)
        assert distances.min() > 60
