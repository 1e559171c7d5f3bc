# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Objects of shapes that `tabletop` does not know, shown once, are segmented in other rendered scenes.

`python -m training.exemplar_scenes` rendered them. The scenes hold known objects of all colours, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from zs_seg_ros.segmenters.base import EncodedVocabulary, Segmenter
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.types import Batch
from zs_seg_ros.vocabulary.vocabulary import Exemplar, TargetClass, Vocabulary

SCENES = Path(__file__).parent / "exemplar_scenes"
SHOWN = 5


def scene(name: str, number: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    pixels = cv2.imread(str(SCENES / f"{name}_{number:02d}.png"), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    return np.ascontiguousarray(pixels[..., 2::-1]), pixels[..., 3] > 0


@pytest.fixture(scope="module")
def tabletop() -> Segmenter[Any]:
    return load_segmenter("tabletop", LoadOptions(device="cpu"))


def label(
    segmenter: Segmenter[Any], encoded: EncodedVocabulary[Any], image: NDArray[np.uint8]
) -> NDArray[Any]:
    [result] = segmenter.segment(Batch((image,), encoded.vocabulary.thresholds(0.5)), encoded)
    return result.label


@pytest.mark.parametrize("name", ["arrow", "bracket"])
def test_an_object_shown_once_is_segmented_in_other_scenes_and_not_where_it_is_absent(
    tabletop: Segmenter[Any], name: str
) -> None:
    target = TargetClass("part 4711", exemplars=(Exemplar(*scene(name, 0)),))
    encoded = tabletop.encode(Vocabulary().changed_to([target]))
    overlaps, areas = [], []
    for number in range(1, 2 * SHOWN + 1):
        image, mask = scene(name, number)
        labelled = label(tabletop, encoded, image) > 0
        if number <= SHOWN:
            overlaps.append((labelled & mask).sum() / (labelled | mask).sum())
        else:
            assert not mask.any()
            areas.append(labelled.mean())
    assert np.mean(overlaps) >= 0.5
    assert np.mean(areas) < 0.005


def test_words_and_examples_segment_their_objects_in_one_image(tabletop: Segmenter[Any]) -> None:
    """The prompts of another class keep their pixels, and a class with both gets those of its example."""
    shown, (image, mask) = Exemplar(*scene("arrow", 0)), scene("arrow", 1)
    classes = [TargetClass("part", ("green donut",), exemplars=(shown,)), TargetClass("duck")]
    labels = label(tabletop, tabletop.encode(Vocabulary().changed_to(classes)), image)
    assert (labels[mask] == 1).mean() > 0.5
