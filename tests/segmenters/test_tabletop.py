# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The built-in model: its IoU on the shipped bag, and its warnings about synonyms."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from inputs import words
from small_bags import SHIPPED_BAG

from zs_seg_ros.bags.bag import Bag, ground_truth_labels
from zs_seg_ros.segmenters.base import Segmenter
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.types import Batch

IMAGE, TRUTH = "/camera/image_raw", "/camera/ground_truth/label"


@pytest.fixture(scope="module")
def tabletop() -> Segmenter:
    return load_segmenter("tabletop", LoadOptions(device="cpu"))


def test_it_segments_objects_that_are_missing_from_its_training_data(tabletop: Segmenter) -> None:
    """All objects in the bag are of pairs of colour and kind that training left out."""
    folder = SHIPPED_BAG
    vocabulary = words(*(label.name for label in ground_truth_labels(folder)))
    encoded, thresholds = tabletop.encode(vocabulary), vocabulary.thresholds(0.5)
    intersection, union = Counter[int](), Counter[int]()
    with Bag(folder) as bag:
        images = [message.content for message in bag.messages([IMAGE])][::15]
        truths = [message.content for message in bag.messages([TRUTH])][::15]
    for message, truth in zip(images, truths, strict=True):
        image = np.asarray(message.data).reshape(message.height, message.width, 3)
        [result] = tabletop.segment(Batch((image,), thresholds), encoded)
        expected = np.asarray(truth.data).reshape(truth.height, truth.width)
        intersection.update(result.label[result.label == expected].tolist())
        union.update(result.label.ravel().tolist())
        union.update(expected[result.label != expected].tolist())
    present = [i for i in vocabulary.ids if union[i] > 500]
    assert len(present) >= 12
    assert np.mean([intersection[i] / union[i] for i in present]) >= 0.75


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("mug", "cup"),
        ("red mug", "red cup"),
        ("purple duck", "violet duck"),
        ("teddy", "teddy bear"),
        ("football", "soccer ball"),
        ("can", "tube"),
        ("red thing", "red"),
        ("huge red mug", "red mug"),
    ],
)
def test_synonyms_get_a_warning(tabletop: Segmenter, first: str, second: str) -> None:
    warnings = tabletop.encode(words(first, second)).warnings
    [warning] = [warning for warning in warnings if "nearly the same" in warning]
    assert repr(first) in warning and repr(second) in warning


@pytest.mark.parametrize(
    ("prompt", "unknown", "left"),
    [
        ("fluffy red mug", "'fluffy'", "red mug"),
        ("a porcelain blue ball", "'porcelain'", "a blue ball"),
        ("velvet yellow cone", "'velvet'", "yellow cone"),
    ],
)
def test_an_unknown_attribute_is_reported_with_the_prompt_whose_mask_to_expect(
    tabletop: Segmenter, prompt: str, unknown: str, left: str
) -> None:
    warning = tabletop.encode(words(prompt)).warnings[0]
    assert (
        warning
        == f"the model tabletop does not know {unknown} in '{prompt}'; expect nearly the mask of '{left}'"
    )


@pytest.mark.parametrize("prompt", ["fluffy white mug", "antique ceramic white mug", "my duck"])
def test_a_prompt_with_an_unknown_attribute_has_the_mask_that_the_warning_says(
    tabletop: Segmenter, prompt: str
) -> None:
    left = tabletop.encode(words(prompt)).warnings[0].rsplit("'", 2)[1]
    with Bag(SHIPPED_BAG) as bag:
        message = next(iter(bag.messages([IMAGE]))).content
    image = np.asarray(message.data).reshape(message.height, message.width, 3)
    thresholds = np.full(1, 0.5, np.float32)
    masks = [
        tabletop.segment(Batch((image,), thresholds), tabletop.encode(words(name)))[0].label > 0
        for name in (prompt, left)
    ]
    assert (masks[0] & masks[1]).sum() > 0.7 * (masks[0] | masks[1]).sum() > 0


@pytest.mark.parametrize("prompt", ["red zebra", "zebra", "red duckling"])
def test_a_prompt_whose_object_is_not_known_is_reported_as_such(
    tabletop: Segmenter, prompt: str
) -> None:
    warnings = tabletop.encode(words(prompt)).warnings
    assert any("does not know" in warning and "expect no mask" in warning for warning in warnings)
