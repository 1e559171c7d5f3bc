# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The stand-in for a model labels the pixels of the colours that the prompts name."""

from __future__ import annotations

import time

import numpy as np
import pytest

from zs_seg_ros import (
    Batch,
    Exemplar,
    Segmentation,
    TargetClass,
    Vocabulary,
    VocabularyError,
    load_segmenter,
)
from zs_seg_ros.segmenters.fake import PALETTE, FakeSegmenter


def stripes(*colours: str) -> np.ndarray:
    """Make an image (6, 4 per colour, 3) uint8 of vertical stripes in these palette colours."""
    return (
        np.array([PALETTE[colour] for colour in colours], np.uint8).repeat(4, 0)[None].repeat(6, 0)
    )


def segmented(
    image: np.ndarray, *classes: TargetClass | str, default_threshold: float = 0.5
) -> Segmentation:
    targets = [TargetClass(c) if isinstance(c, str) else c for c in classes]
    vocabulary = Vocabulary().changed_to(targets)
    model = FakeSegmenter()
    batch = Batch((image,), vocabulary.thresholds(default_threshold))
    [result] = model.segment(batch, model.encode(vocabulary))
    return result


def test_it_is_loaded_by_its_name_with_a_caution_that_it_is_a_stand_in() -> None:
    model = load_segmenter("fake")
    assert isinstance(model, FakeSegmenter)
    assert (model.model, model.device) == ("fake", "cpu")
    assert "stand-in" in model.caution


def test_each_colour_word_labels_the_pixels_of_its_colour() -> None:
    image = stripes(*PALETTE)
    result = segmented(image, *(f"{colour} object" for colour in PALETTE))
    assert result.label[0].tolist() == np.arange(1, len(PALETTE) + 1).repeat(4).tolist()
    assert (result.confidence == 255).all()


def test_colours_of_no_class_stay_unlabelled_with_confidence_0() -> None:
    result = segmented(stripes("red", "blue"), "a blue duck")
    assert result.label[0].tolist() == [0] * 4 + [1] * 4
    assert result.confidence[0].tolist() == [0] * 4 + [255] * 4


def test_each_prompt_of_a_class_adds_its_colours() -> None:
    mug = TargetClass("mug", ("RED cup", "violet mug"))
    assert segmented(stripes("red", "green", "purple"), mug).label[0, ::4].tolist() == [1, 0, 1]


def test_a_colour_inside_a_longer_word_does_not_count() -> None:
    assert not segmented(stripes("red"), "predator").label.any()


def test_confidence_falls_with_the_distance_and_the_threshold_is_respected() -> None:
    red, green, blue = PALETTE["red"]
    image = np.array([[(red, green, blue), (red - 40, green, blue)]], np.uint8)
    confidence = 1 - 40 / 255
    assert segmented(image, "red").confidence.tolist() == [[255, round(confidence * 255)]]
    just_below, just_above = confidence - 0.001, confidence + 0.001
    assert segmented(image, TargetClass("red", threshold=just_below)).label.tolist() == [[1, 1]]
    assert segmented(image, TargetClass("red", threshold=just_above)).label.tolist() == [[1, 0]]
    assert segmented(image, "red", default_threshold=just_above).label.tolist() == [[1, 0]]


def test_of_two_classes_of_one_colour_the_first_whose_threshold_is_reached_wins() -> None:
    red, green, blue = PALETTE["red"]
    image = np.array([[(red, green, blue), (red - 40, green, blue)]], np.uint8)
    strict, lenient = TargetClass("red mug", threshold=0.95), TargetClass("red duck", threshold=0.2)
    assert segmented(image, strict, lenient).label.tolist() == [[1, 2]]
    assert segmented(image, lenient, strict).label.tolist() == [[1, 1]]


def test_a_class_without_a_colour_word_labels_nothing_and_is_warned_about() -> None:
    vocabulary = Vocabulary().changed_to([TargetClass("duck"), TargetClass("red mug")])
    [warning] = FakeSegmenter().encode(vocabulary).warnings
    assert "'duck' has no colour word" in warning and "red, green, blue" in warning
    assert segmented(stripes("red", "yellow"), "duck", "red mug").label[0, ::4].tolist() == [2, 0]


def test_example_images_are_refused() -> None:
    exemplar = Exemplar(np.zeros((2, 2, 3), np.uint8))
    vocabulary = Vocabulary().changed_to([TargetClass("mug", exemplars=(exemplar,))])
    with pytest.raises(VocabularyError, match="class 'mug' comes with example images"):
        FakeSegmenter().encode(vocabulary)


def test_labels_are_16_bits_wide_only_where_an_id_needs_them() -> None:
    model, image = FakeSegmenter(), stripes("red")
    for highest_id, dtype in ((254, np.uint8), (256, np.uint16)):
        given = {f"old {i}": i for i in range(1, highest_id) if i != 255}
        earlier = Vocabulary(ids_given=given)
        vocabulary = earlier.changed_to([TargetClass("red mug")])
        batch = Batch((image,), vocabulary.thresholds(0.5))
        [result] = model.segment(batch, model.encode(vocabulary))
        assert result.label.dtype == dtype
        assert (result.label == highest_id).all()


def test_an_empty_vocabulary_labels_nothing() -> None:
    result = segmented(stripes("red"))
    assert result.label.shape == (6, 4) and not result.label.any()


def test_a_batch_is_segmented_in_order_at_each_image_s_own_size_and_dtype() -> None:
    model = FakeSegmenter()
    vocabulary = Vocabulary().changed_to([TargetClass("red"), TargetClass("blue")])
    wide = stripes("blue").astype(np.uint16) * 257
    images = (stripes("red"), stripes("blue", "red"), wide, wide.astype(">u2"))
    results = model.segment(Batch(images, vocabulary.thresholds(0.5)), model.encode(vocabulary))
    assert [result.label[0, ::4].tolist() for result in results] == [[1], [2, 1], [2], [2]]


def test_a_delay_makes_it_slow() -> None:
    model = FakeSegmenter(delay_s=0.05)
    encoded = model.encode(Vocabulary())
    start = time.monotonic()
    model.segment(Batch((), np.zeros(0, np.float32)), encoded)
    assert time.monotonic() - start >= 0.05


def test_of_classes_of_one_colour_the_more_specific_one_has_it() -> None:
    image = stripes("blue", "red")
    for classes in (("blue", "blue teddy bear"), ("blue teddy bear", "blue")):
        result = segmented(image, *classes)
        assert (result.label[0, :4] == 1 + classes.index("blue teddy bear")).all()
    high = TargetClass("blue teddy bear", threshold=0.9)
    image[:, :4] = (30, 60, 140)
    assert (segmented(image, "blue", high).label[0, :4] == 1).all()
