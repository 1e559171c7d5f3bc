# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A vocabulary of any accepted size takes bounded time and memory, for every family."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from families import FAMILIES, Family, write_small_clipseg
from hypothesis import given, settings
from hypothesis import strategies as st
from inputs import blots, segment, words

from zs_seg_ros.errors import VocabularyError
from zs_seg_ros.segmenters.clipseg import segmenter as clipseg
from zs_seg_ros.segmenters.deadline import check_time, time_limit
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.segmenters.shared import prompts
from zs_seg_ros.segmenters.shared.class_logits import ClassLogits
from zs_seg_ros.segmenters.shared.label_image import decode, decode_chunks
from zs_seg_ros.segmenters.shared.prompts import class_chunks, similarity_warnings
from zs_seg_ros.vocabulary.class_ids import LabelIds
from zs_seg_ros.vocabulary.vocabulary import Exemplar, TargetClass, Vocabulary

OPEN_FAMILIES = [family for family in FAMILIES if not family.classes]


@pytest.mark.parametrize("family", OPEN_FAMILIES, ids=lambda family: family.name)
def test_encoding_ends_when_its_time_is_over(family: Family, tmp_path: Path) -> None:
    segmenter = load_segmenter(family.write(tmp_path), LoadOptions(device="cpu"))
    vocabulary = words(*family.names(3))
    with time_limit(1e-9), pytest.raises(VocabularyError, match="vocabulary_timeout"):
        segmenter.encode(vocabulary)
    assert segmenter.encode(vocabulary).vocabulary is vocabulary  # without a limit it goes on


def test_a_time_limit_ends_with_its_block() -> None:
    with time_limit(1e-9):
        time.sleep(0.001)
        with time_limit(0):
            check_time()
        with pytest.raises(VocabularyError, match=r"1e-09 s"):
            check_time()
    check_time()


def test_clipseg_decodes_some_classes_at_a_time_to_the_same_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = load_segmenter(write_small_clipseg(tmp_path), LoadOptions(device="cpu"))
    assert isinstance(segmenter, clipseg.ClipSegSegmenter)
    image = blots()
    classes = [TargetClass(name, (name, f"old {name}")) for name in ("red", "blue", "green", "big")]
    classes.append(TargetClass("duck", ("duck",), exemplars=(Exemplar(image),)))
    vocabulary = Vocabulary().changed_to(classes)
    [whole] = segment(segmenter, vocabulary, image, threshold=0.3)
    decoded: list[int] = []
    decode_rows = segmenter.network.decode

    def counting(encoded_image: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        decoded.append(len(features))
        return decode_rows(encoded_image, features)

    monkeypatch.setattr(segmenter.network, "decode", counting)
    monkeypatch.setattr(prompts, "_ROWS_PER_CHUNK", 3)
    [chunked] = segment(segmenter, vocabulary, image, threshold=0.3)
    assert decoded == [4, 4, 2]  # whole classes, of two rows each
    assert (whole.label > 0).any()
    assert (whole.label == chunked.label).mean() > 0.99
    assert np.abs(whole.confidence.astype(int) - chunked.confidence).max() <= 1


@settings(max_examples=50)
@given(
    classes=st.integers(1, 9),
    chunk=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
    large_ids=st.booleans(),
)
def test_chunks_of_classes_give_what_all_at_once_give(
    classes: int, chunk: int, seed: int, large_ids: bool
) -> None:
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(size=(classes, 5, 6)).astype(np.float32))
    thresholds = rng.uniform(0.2, 0.9, classes).astype(np.float32)
    ids = LabelIds.of(i + (300 if large_ids and i > 2 else 1) for i in range(classes))
    whole = decode(logits, (11, 13), thresholds, ids)
    chunks = [
        ClassLogits(logits[i : i + chunk], tuple(range(classes))[i : i + chunk])
        for i in range(0, classes, chunk)
    ]
    chunked = decode_chunks(chunks, (11, 13), thresholds, ids)
    assert whole.label.dtype == chunked.label.dtype
    assert np.array_equal(whole.label, chunked.label)
    assert np.array_equal(whole.confidence, chunked.confidence)


def test_similarity_in_blocks_is_that_of_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    features = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
    vocabulary = words(*(f"class {number}" for number in range(20)))
    classes = tuple(index // 2 for index in range(40))
    whole = similarity_warnings(vocabulary, classes, features, 0.9)
    monkeypatch.setattr(prompts, "_FEATURES_PER_BLOCK", 7)
    assert similarity_warnings(vocabulary, classes, features, 0.9) == whole
    unit = torch.nn.functional.normalize(features, dim=-1)
    similar = {
        (min(a, b) // 2, max(a, b) // 2)
        for a in range(40)
        for b in range(40)
        if a // 2 != b // 2 and unit[a] @ unit[b] > 0.9
    }
    assert len(whole) == len(similar) > 0


def test_a_vocabulary_with_too_many_prompts_in_all_is_refused() -> None:
    many = [TargetClass(f"class {n}", tuple(f"prompt {i}" for i in range(30))) for n in range(67)]
    with pytest.raises(VocabularyError, match=r"2010 prompts.* at most 2000 .*max_total_prompts"):
        Vocabulary().changed_to(many)
    assert len(Vocabulary().changed_to(many[:66]).classes) == 66


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_chunks_of_a_vocabulary_change_no_label(
    family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = load_segmenter(family.write(tmp_path), LoadOptions(device="cpu"))
    vocabulary, image = words(*family.names(5)), blots()
    [whole] = segment(segmenter, vocabulary, image, threshold=family.threshold)
    monkeypatch.setattr(prompts, "_ROWS_PER_CHUNK", 2)
    [chunked] = segment(segmenter, vocabulary, image, threshold=family.threshold)
    assert (whole.label == chunked.label).mean() > 0.99


@given(st.lists(st.integers(0, 1), min_size=1, max_size=300))
def test_each_class_is_in_one_chunk(steps: list[int]) -> None:
    class_of_row = [0, *np.cumsum(steps).tolist()]
    rows: list[int] = []
    seen: set[int] = set()
    for chunk in class_chunks(class_of_row):
        classes = class_of_row[chunk]
        rows += range(chunk.start, chunk.stop)
        assert seen.isdisjoint(classes)
        seen |= set(classes)
    assert rows == list(range(len(class_of_row)))
