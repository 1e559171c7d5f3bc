# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A more specific class has each pixel where it reaches its threshold and a more general one would have it."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch
from families import FAMILIES, Family
from hypothesis import given, settings
from hypothesis import strategies as st
from inputs import blots, segment
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from zs_seg_ros.segmenters.instance_labels import label_instances, without_general
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.segmenters.shared import specific_classes
from zs_seg_ros.segmenters.shared.class_logits import ClassLogits
from zs_seg_ros.segmenters.shared.instances import Instances, decode_instances
from zs_seg_ros.segmenters.shared.label_image import decode_chunks
from zs_seg_ros.segmenters.shared.specific_classes import SpecificClasses
from zs_seg_ros.types import Box, DetectedObject, Segmentation
from zs_seg_ros.vocabulary.class_ids import LabelIds
from zs_seg_ros.vocabulary.precedence import Precedence
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

OPEN = [family for family in FAMILIES if not family.classes]


def over(**specific: tuple[int, ...]) -> Precedence:
    """Return a precedence: c1=(0, 2) means that the classes 0 and 2 are more specific than 1."""
    return Precedence(MappingProxyType({int(k[1:]): v for k, v in specific.items()}))


CHAIN = over(c3=(0, 1, 2), c1=(0, 2), c2=(0,))
"""Of four classes 3 is the most general one and 0 the most specific one; 4 is another one."""


def decoded(
    logits: Tensor, limits: NDArray[np.float32], ids: LabelIds, precedence: Precedence
) -> Segmentation:
    """Decode, in chunks of two classes, at the logits' own size."""
    chunks = [
        ClassLogits(logits[start : start + 2], tuple(range(start, min(start + 2, len(logits)))))
        for start in range(0, len(logits), 2)
    ]
    height, width = logits.shape[1:]
    return decode_chunks(chunks, (height, width), limits, ids, precedence)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.permutations(range(5)), st.booleans())
def test_a_pixel_is_of_the_most_specific_class_that_reaches_its_threshold(
    seed: int, order: list[int], has_large_ids: bool
) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (5, 6, 9)).astype(np.float32)
    thresholds = random.uniform(0.2, 0.8, 5).astype(np.float32)
    place = {old: new for new, old in enumerate(order)}
    precedence = Precedence(
        MappingProxyType({place[g]: tuple(place[i] for i in s) for g, s in CHAIN.specific.items()})
    )
    ids = LabelIds.of([40000 + i if has_large_ids else 1 + i for i in range(5)])
    result = decoded(torch.from_numpy(logits[order]), thresholds[order], ids, precedence)
    reaches = logits >= np.log(thresholds / (1 - thresholds))[:, None, None]
    for row, column in np.ndindex(6, 9):
        present = [i for i in range(5) if reaches[i, row, column]]
        winner = max(present, key=lambda i: logits[i, row, column], default=None)
        while winner is not None:
            below = [i for i in CHAIN.specific.get(winner, ()) if i in present]
            if not below:
                break
            winner = max(below, key=lambda i: logits[i, row, column])
        expected = 0 if winner is None else ids.values[place[winner]]
        assert result.label[row, column] == expected
        if winner is not None:
            own = 255 / (1 + np.exp(-float(logits[winner, row, column])))
            assert abs(int(result.confidence[row, column]) - own) <= 1
    assert ((result.label > 0) == (result.confidence > 0)).all()


def test_a_third_class_that_is_less_confident_than_the_general_one_gets_nothing() -> None:
    """A white mug that is hardly recognised as white stays a mug for the comparison with the table."""
    logits = torch.tensor([0.1, 3.0, 1.0]).view(3, 1, 1).expand(3, 4, 4)  # white mug, mug, table
    result = decoded(logits, np.full(3, 0.5, np.float32), LabelIds.of((1, 2, 3)), over(c1=(0,)))
    assert (result.label == 1).all()
    assert (np.abs(result.confidence.astype(int) - 134) <= 1).all()  # its own, 0.525


def test_where_a_negative_fits_better_the_specific_class_does_not_win() -> None:
    logits = torch.tensor([1.0, 3.0]).view(2, 1, 1).expand(2, 4, 4)
    against = {0: torch.tensor([[0.0, 2.0]]).repeat_interleave(2, dim=1).expand(4, 4)}
    chunk = ClassLogits(logits, (0, 1), against)
    thresholds = np.full(2, 0.5, np.float32)
    result = decode_chunks([chunk], (4, 4), thresholds, LabelIds.of((1, 2)), over(c1=(0,)))
    assert (result.label == [1, 1, 2, 2]).all()


def interpolated(logits: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(logits[None, None], size, mode="bilinear")[0, 0]


@pytest.mark.parametrize("first_id", [1, 40000])
def test_the_code_for_gpus_gives_what_the_code_for_cpus_gives(
    first_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = torch.randn(4, 6, 8, generator=torch.Generator().manual_seed(1)) * 2
    ids = LabelIds.of(range(first_id, first_id + 4))
    size = 12, 16
    winner = np.random.default_rng(2).integers(0, 5, size)
    label = np.array([0, *ids.values], ids.dtype)[winner]
    best = np.full(size, 0.5, np.float32)

    def specific() -> SpecificClasses:
        classes = SpecificClasses(CHAIN, ids)
        classes.keep(ClassLogits(logits, (0, 1, 2, 3)), [0.0] * 4)
        return classes

    signed = label.view(np.int16) if label.dtype == np.uint16 else label
    expected, expected_best = specific().relabel(label, best)
    monkeypatch.setattr(specific_classes, "_resized", interpolated)
    on_device = torch.from_numpy(signed), torch.from_numpy(best)
    label_tensor, best_tensor = specific().relabel(*on_device)
    assert (expected != label).any() and expected.dtype == label.dtype
    assert label_tensor.dtype == on_device[0].dtype and best_tensor.dtype == torch.float32
    same = label_tensor.numpy().view(label.dtype) == expected
    assert same.mean() > 0.98
    assert np.allclose(best_tensor.numpy()[same], expected_best[same], atol=1e-4)


def detected(class_id: int, score: float, left: int, width: int) -> DetectedObject:
    return DetectedObject(class_id, score, Box(left, 0, width, 4), np.ones((4, width), np.bool_))


IDS = LabelIds.of((7, 8, 9))


def test_the_object_of_a_specific_class_is_over_that_of_a_general_one() -> None:
    mug, white_mug, table = detected(8, 0.9, 0, 10), detected(7, 0.6, 2, 4), detected(9, 0.7, 0, 20)
    label, confidence = label_instances([mug, table, white_mug], (4, 20), IDS, over(c1=(0,)))
    assert (label == [8] * 2 + [7] * 4 + [8] * 4 + [9] * 10).all()
    assert (confidence[0, [0, 2, 12]] == [230, 153, 178]).all()
    without, _ = label_instances([mug, table, white_mug], (4, 20), IDS)
    assert (without == [8] * 10 + [9] * 10).all()


@pytest.mark.parametrize(
    ("width", "is_left_out"), [(10, True), (20, True), (5, True), (4, False), (21, False)]
)
def test_one_object_of_both_classes_is_of_the_specific_one(width: int, is_left_out: bool) -> None:
    """From an IoU of one half on two masks are of one object."""
    mug, white_mug = detected(8, 0.9, 0, width), detected(7, 0.6, 0, 10)
    kept = without_general([mug, white_mug], IDS, over(c1=(0,)))
    assert kept == ([white_mug] if is_left_out else [mug, white_mug])
    assert without_general([mug, white_mug], IDS, Precedence()) == [mug, white_mug]


def test_an_object_of_a_specific_class_below_its_threshold_changes_nothing() -> None:
    instances = Instances(torch.ones(2, 4, 4), torch.tensor([0.9, 0.3]), torch.tensor([1, 0]))
    thresholds = np.full(2, 0.5, np.float32)
    ids = LabelIds.of((1, 2))
    result = decode_instances(instances, (8, 8), thresholds, ids, over(c1=(0,)))
    assert (result.label == 2).all()
    sure = Instances(torch.ones(2, 4, 4), torch.tensor([0.9, 0.5]), torch.tensor([1, 0]))
    result = decode_instances(sure, (8, 8), thresholds, ids, over(c1=(0,)))
    assert (result.label == 1).all() and (result.confidence == 128).all()
    assert result.instances is not None
    assert [instance.class_id for instance in result.instances] == [1]


@pytest.mark.parametrize("family", OPEN, ids=lambda family: family.name)
def test_in_every_family_the_general_class_takes_nothing_from_the_specific_one(
    family: Family, tmp_path: Path
) -> None:
    segmenter = load_segmenter(family.write(tmp_path), LoadOptions(device="cpu"))
    specific, general = TargetClass("red mug"), TargetClass("mug")
    for targets in ([specific, general], [general, specific]):
        both = Vocabulary().changed_to(targets)
        [together] = segment(segmenter, both, blots(), threshold=family.threshold)
        [alone] = segment(
            segmenter, Vocabulary().changed_to([specific]), blots(), threshold=family.threshold
        )
        of_specific = together.label == both.ids[targets.index(specific)]
        if family.fused:  # each class depends on the others a little
            continue
        assert (of_specific == (alone.label > 0)).mean() > 0.99
        assert alone.label.any()
