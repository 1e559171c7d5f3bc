# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Negatives: what fits one of them better than every prompt of its class is not of the class, in every family."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from families import FAMILIES, Family
from hypothesis import given, settings
from hypothesis import strategies as st
from inputs import blots, segment
from numpy.typing import NDArray

from zs_seg_ros.errors import VocabularyError
from zs_seg_ros.segmenters.base import Segmenter
from zs_seg_ros.segmenters.fake import FakeSegmenter
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.segmenters.shared.class_logits import class_logits
from zs_seg_ros.segmenters.shared.instances import not_negative
from zs_seg_ros.segmenters.shared.label_image import _argmax, decode, decode_chunks
from zs_seg_ros.types import Batch
from zs_seg_ros.vocabulary.class_ids import LabelIds
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

TAKES_NEGATIVES = [family for family in FAMILIES if not family.classes]
CLOSED = [family for family in FAMILIES if family.classes]


def loaded(family: Family, folder: Path) -> Segmenter:
    return load_segmenter(family.write(folder), LoadOptions(device="cpu"))


@pytest.mark.parametrize("family", TAKES_NEGATIVES, ids=lambda family: family.name)
def test_negatives_take_pixels_of_their_class_alone_and_are_never_published(
    family: Family, tmp_path: Path
) -> None:
    segmenter, image = loaded(family, tmp_path), blots()
    first, second, *others = family.names(5)
    plain = Vocabulary().changed_to([TargetClass(first)])
    [before] = segment(segmenter, plain, image, threshold=family.threshold)
    vocabulary = Vocabulary().changed_to(
        [TargetClass(first, negatives=(second, *others)), TargetClass(second)]
    )
    [after] = segment(segmenter, vocabulary, image, threshold=family.threshold)
    assert set(np.unique(after.label)) <= {0, *vocabulary.ids}
    if after.instances is None:
        assert not ((after.label == 1) & (before.label == 0)).any()
        assert (before.label == 1).sum() > 0
        assert (after.label == 1).sum() < (before.label == 1).sum()
    else:
        assert {detected.class_id for detected in after.instances} <= set(vocabulary.ids)
        if not family.fused:
            assert before.instances is not None
            of_first = [d for d in after.instances if d.class_id == 1]
            scores = [detected.score for detected in before.instances]
            assert len(of_first) <= len(scores)
            assert all(np.isclose(d.score, scores, atol=1e-4).any() for d in of_first)


@pytest.mark.parametrize("name", ["dense", "clipseg", "tipsv2"])
def test_a_negative_takes_what_a_class_of_that_prompt_would_take(name: str, tmp_path: Path) -> None:
    family = next(family for family in FAMILIES if family.name == name)
    segmenter, image = loaded(family, tmp_path), blots()
    first, second, third = family.names(3)
    negative = Vocabulary().changed_to([TargetClass(first, negatives=(second, third))])
    rivals = Vocabulary().changed_to(
        [TargetClass(first), TargetClass(second, (second, third), threshold=1e-7)]
    )
    [hidden] = segment(segmenter, negative, image, threshold=family.threshold)
    [shown] = segment(segmenter, rivals, image, threshold=family.threshold)
    assert ((hidden.label == 1) == (shown.label == 1)).mean() > 0.995


@pytest.mark.parametrize("family", CLOSED, ids=lambda family: family.name)
def test_a_model_of_fixed_names_refuses_negatives(family: Family, tmp_path: Path) -> None:
    first, second = family.names(2)
    vocabulary = Vocabulary().changed_to([TargetClass(first, negatives=(second,))])
    with pytest.raises(VocabularyError, match=f"class '{first}' has negatives.*take the negatives"):
        loaded(family, tmp_path).encode(vocabulary)


def test_the_stand_in_model_takes_colours_of_negatives_out() -> None:
    segmenter = FakeSegmenter()
    vocabulary = Vocabulary().changed_to(
        [
            TargetClass("box", ("red box", "cyan box"), negatives=("a cyan lid",)),
            TargetClass("cyan"),
        ]
    )
    image = np.zeros((2, 2, 3), np.uint8)
    image[0], image[1] = (220, 30, 30), (40, 200, 220)
    batch = Batch((image,), vocabulary.thresholds(0.4))
    [result] = segmenter.segment(batch, segmenter.encode(vocabulary))
    assert result.label.tolist() == [[1, 1], [2, 2]]


@st.composite
def cases(draw: st.DrawFn) -> tuple[NDArray[np.float32], list[int], list[bool], list[float]]:
    """Draw logits (P, h, w), the class of each row, whether it is negative, and thresholds."""
    classes = draw(st.integers(1, 5))
    rows = [(index, False) for index in range(classes)]
    rows += draw(st.lists(st.tuples(st.integers(0, classes - 1), st.booleans()), max_size=6))
    rows.sort(key=lambda row: row[0])
    seed = draw(st.integers(0, 2**32 - 1))
    logits = np.random.default_rng(seed).normal(0, 2, (len(rows), 5, 7)).astype(np.float32)
    thresholds = draw(st.lists(st.floats(0.1, 0.9), min_size=classes, max_size=classes))
    return logits, [index for index, _ in rows], [negative for _, negative in rows], thresholds


@settings(max_examples=80, deadline=None)
@given(cases())
def test_every_pixel_is_of_the_best_class_that_no_negative_beats(
    case: tuple[NDArray[np.float32], list[int], list[bool], list[float]],
) -> None:
    logits, class_of_row, is_negative, thresholds = case
    limits = np.array(thresholds, np.float32)
    chunk = class_logits(torch.from_numpy(logits), class_of_row, is_negative)
    ids = LabelIds.of(range(1, len(thresholds) + 1))
    label = decode_chunks([chunk], logits.shape[1:], limits, ids).label  # type: ignore[arg-type]
    expected = np.zeros(logits.shape[1:], np.uint8)
    best = np.full(expected.shape, -np.inf)
    for index, threshold in enumerate(thresholds):
        rows = [r for r, c in enumerate(class_of_row) if c == index]
        own = logits[[r for r in rows if not is_negative[r]]].max(axis=0)
        against = logits[[r for r in rows if is_negative[r]]].max(axis=0, initial=-np.inf)
        claims = (own >= np.log(threshold / (1 - threshold))) & (own >= against) & (own > best)
        expected[claims], best[claims] = index + 1, own[claims]
    assert np.array_equal(label, expected)


@settings(max_examples=60, deadline=None)
@given(cases(), st.tuples(st.integers(3, 20), st.integers(3, 20)))
def test_the_code_for_gpus_gives_what_the_code_for_cpus_gives(
    case: tuple[NDArray[np.float32], list[int], list[bool], list[float]], size: tuple[int, int]
) -> None:
    logits, class_of_row, is_negative, thresholds = case
    limits = np.array(thresholds, np.float32)
    chunk = class_logits(torch.from_numpy(logits), class_of_row, is_negative)
    ids = LabelIds.of(range(1, len(thresholds) + 1))
    label = decode_chunks([chunk], size, limits, ids).label
    _, winner = _argmax(chunk.logits, torch.from_numpy(limits).logit(), size, chunk.against)
    assert (label == winner.numpy()).mean() >= 0.98  # pixels at a limit differ by rounding


def test_a_class_without_negatives_is_decoded_as_before() -> None:
    logits = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(5))
    thresholds, ids = np.full(3, 0.4, np.float32), LabelIds.of([4, 9, 300])
    chunk = class_logits(logits, (0, 1, 2), (False,) * 3)
    assert chunk.logits is logits and not chunk.against
    result = decode_chunks([chunk], (16, 16), thresholds, ids)
    assert np.array_equal(result.label, decode(logits, (16, 16), thresholds, ids).label)


@pytest.mark.parametrize(
    ("other", "score", "kept"),
    [
        ((0, 0, 10, 10), 0.8, [2]),  # the same box, and a higher score
        ((0, 0, 10, 10), 0.6, [0, 2]),  # a lower score
        ((0, 0, 10, 10), 0.7, [0, 2]),  # the same score
        ((0, 0, 10, 20), 0.8, [2]),  # an IoU of one half
        ((0, 0, 10, 21), 0.8, [0, 2]),  # a little less
        ((40, 40, 50, 50), 0.9, [0, 2]),  # elsewhere
    ],
)
def test_an_instance_is_dropped_where_a_negative_of_its_class_fits_better(
    other: tuple[int, ...], score: float, kept: list[int]
) -> None:
    boxes = np.array([(0, 0, 10, 10), other, (0, 0, 10, 10)], np.float32)
    scores = np.array([0.7, score, 0.65], np.float32)
    assert not_negative(boxes, scores, [0, 0, 1], [False, True, False]) == kept
