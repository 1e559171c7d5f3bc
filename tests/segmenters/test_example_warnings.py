# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Warnings about example images whose object looks to the model like other parts of the same image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from families import FAMILIES
from numpy.typing import NDArray
from test_examples_on_scenes import scene

from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.segmenters.shared.example_warnings import background_warnings, share_beside
from zs_seg_ros.segmenters.shared.exemplars import rows_by_class
from zs_seg_ros.vocabulary.vocabulary import Exemplar, TargetClass, Vocabulary

RED, BLUE, GREY = (220, 20, 30), (30, 60, 220), (150, 150, 150)


def square_on(background: tuple[int, int, int], colour: tuple[int, int, int]) -> Exemplar:
    """An image of one colour with a marked square of another."""
    image = np.full((240, 320, 3), background, np.uint8)
    mask = np.zeros((240, 320), np.bool_)
    mask[80:160, 100:200] = True
    image[mask] = colour
    return Exemplar(image, mask)


def warnings_of(model: str, *exemplars: Exemplar) -> tuple[str, ...]:
    segmenter = load_segmenter(model, LoadOptions(device="cpu"))
    target = TargetClass("part 4711", exemplars=exemplars)
    return segmenter.encode(Vocabulary().changed_to([target])).warnings


def test_an_example_of_the_colour_of_its_background_warns_and_says_what_to_do() -> None:
    [warning] = warnings_of("tabletop", square_on((225, 224, 228), (226, 224, 228)))
    assert "the example image of class 'part 4711' also fits parts of its own image" in warning
    assert "show the object before another colour" in warning and "raise the threshold" in warning


@pytest.mark.parametrize("number", [0, 2])
def test_an_object_that_stands_out_does_not_warn(number: int) -> None:
    image, mask = scene("bracket", number)
    assert warnings_of("tabletop", Exemplar(image, mask)) == ()


def test_an_example_without_a_mask_has_no_background() -> None:
    assert warnings_of("tabletop", Exemplar(np.full((60, 80, 3), 226, np.uint8))) == ()


def test_the_warning_counts_the_examples_of_a_class() -> None:
    image, mask = scene("bracket", 0)
    [warning] = warnings_of(
        "tabletop", Exemplar(image, mask), square_on((225, 224, 228), (226, 224, 228))
    )
    assert "the example image 2 of class" in warning


def test_tipsv2_warns_where_patches_beside_the_object_are_nearer_to_it_than_to_the_rest(
    tmp_path: Path,
) -> None:
    """Half of the image looks like the object and half does not, so that the mean of both is unlike either."""
    [family] = [family for family in FAMILIES if family.name == "tipsv2"]
    image = np.full((56, 56, 3), BLUE, np.uint8)
    image[:, :28] = RED
    mask = np.zeros((56, 56), np.bool_)
    mask[:14, :14] = True
    model = family.write(tmp_path)
    assert any(
        "fits parts of its own image" in w for w in warnings_of(model, Exemplar(image, mask))
    )
    alone = np.full((56, 56, 3), BLUE, np.uint8)
    alone[mask] = RED
    assert not any(
        "fits parts of its own image" in w for w in warnings_of(model, Exemplar(alone, mask))
    )


def confidence_of(*cells: tuple[int, int]) -> NDArray[np.float32]:
    confidence = np.zeros((20, 20), np.float32)
    for row, column in cells:
        confidence[row, column] = 0.9
    return confidence


def test_the_share_is_of_the_object_s_area_without_a_margin_around_it() -> None:
    mask = np.zeros((40, 40), np.bool_)
    mask[:8, :10] = True  # 4 x 5 cells
    example = Exemplar(np.zeros((40, 40, 3), np.uint8), mask)
    assert share_beside(confidence_of((0, 0), (3, 4), (5, 4), (3, 6)), example) == 0
    assert share_beside(confidence_of((6, 0), (19, 19)), example) == pytest.approx(2 / 20)
    assert share_beside(np.full((20, 20), 0.49, np.float32), example) == 0


def test_no_division_by_an_object_smaller_than_a_cell() -> None:
    mask = np.zeros((400, 400), np.bool_)
    mask[0, :4] = True
    example = Exemplar(np.zeros((400, 400, 3), np.uint8), mask)
    assert 0 < share_beside(np.ones((20, 20), np.float32), example) <= 400


def test_words_have_no_background() -> None:
    targets = (TargetClass("mug"), TargetClass("part", exemplars=(square_on(RED, BLUE),)))
    vocabulary = Vocabulary().changed_to(targets)
    rows = rows_by_class(vocabulary, ["mug"], lambda _: "example")
    assert background_warnings("x", vocabulary, rows, [9.0, 0.05]) == []
    assert len(background_warnings("x", vocabulary, rows, [0.0, 9.0])) == 1
