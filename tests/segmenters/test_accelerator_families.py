# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Every family on the stand-in accelerator: the results of the CPU, and the transfers that `COUNTS` states."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from families import FAMILIES, Family
from inputs import blots
from test_conformance import check, same_label
from torch.nn import functional

from zs_seg_ros import LoadOptions, load_segmenter
from zs_seg_ros.segmenters.base import EncodedVocabulary
from zs_seg_ros.segmenters.boxes_then_masks.florence2_network import Florence2Network
from zs_seg_ros.segmenters.mask_prompts import MarkedPoint, MaskPrompt
from zs_seg_ros.segmenters.shared import all_masks
from zs_seg_ros.testing.accelerator import Accelerator
from zs_seg_ros.types import Batch, Box, DetectedObject, Segmentation
from zs_seg_ros.vocabulary.vocabulary import Exemplar, TargetClass, Vocabulary

IMAGES = (blots(48, 64, 1), blots(90, 40, 2))


@dataclass(frozen=True)
class Counts:
    """What segmenting the two `IMAGES` takes once the vocabulary and the sizes are known."""

    uploads: int
    downloads: int
    synchronisations: int


PIXELS = Counts(2, 1, 0)
"""An upload for each image and a download for both: families that label pixels."""
PAIR = Counts(4, 2, 0)
"""Two uploads for each image, of its pixels and of its boxes; a download of all boxes, and one of all masks."""
QUERIES = Counts(6, 3, 0)
"""SAM 3: three uploads for each image, of its pixels and of two lists of chosen queries; a download of the scores of
each, and one of all masks."""
GENERATION = Counts(4 + 2 * 3 * 4, 1, 0)
"""Florence-2: four uploads of a pair; transformers makes four empty tensors for the keys and values of each answer, to
three phrases in each of two images. A download of all masks, besides one for each token of the answers."""
COUNTS = {
    "dense": PIXELS,
    "clipseg": PIXELS,
    "tipsv2": PIXELS,
    "segformer": PIXELS,
    "eomt": PIXELS,
    "owlv2+sam2": PAIR,
    "owlv2+edgetam": PAIR,
    "owlv2+sam_hq": PAIR,
    "grounding-dino+sam2": PAIR,
    "mm-grounding-dino+sam2": PAIR,
    "omdet-turbo+sam2": PAIR,
    "florence2+sam2": GENERATION,
    "sam3": QUERIES,
    "sam3_video": QUERIES,
    "sam3_lite_text": QUERIES,
}
"""A higher number is a stall that a change has put in; docs/decisions/0013-transfers.md says what each is for."""


Answer = tuple[list[int], list[float]]
"""The tokens of a generated answer and their probabilities."""


@dataclass(frozen=True)
class Both:
    """The same model on the CPU and on the stand-in, with the encoded vocabulary of each."""

    on_cpu: Any
    on_device: Any
    batch: Batch
    of_cpu: EncodedVocabulary[Any]
    of_device: EncodedVocabulary[Any]

    @classmethod
    def load(cls, family: Family, folder: Path, precision: str, *targets: TargetClass) -> Both:
        model = family.write(folder)
        vocabulary = Vocabulary().changed_to(targets or map(TargetClass, family.names(3)))
        batch = Batch(IMAGES, vocabulary.thresholds(family.threshold))
        on_cpu = load_segmenter(model, LoadOptions("cpu", precision))
        on_device = load_segmenter(model, LoadOptions("cuda", precision))
        assert on_device.device == "cuda:0"
        encoded = (model.encode(vocabulary) for model in (on_cpu, on_device))
        return cls(on_cpu, on_device, batch, *encoded)

    def expected(self) -> list[Segmentation]:
        return self.on_cpu.segment(self.batch, self.of_cpu)  # type: ignore[no-any-return]

    def results(self, accelerator: Accelerator) -> list[Segmentation]:
        """Segment a second time, since constants are uploaded in the first, and count the transfers of that alone."""
        self.on_device.segment(self.batch, self.of_device)
        accelerator.reset()
        return self.on_device.segment(self.batch, self.of_device)  # type: ignore[no-any-return]


def counted(accelerator: Accelerator, answers: Sequence[Answer] = ()) -> Counts:
    """Count transfers, without those of the tokens of generated answers."""
    counts = (accelerator.count(k) for k in ("upload", "download", "synchronisation"))
    uploads, downloads, synchronisations = counts
    return Counts(uploads, downloads - sum(len(tokens) for tokens, _ in answers), synchronisations)


@contextmanager
def recorded_answers() -> Iterator[list[Answer]]:
    """Yield the answers of Florence-2 that are generated meanwhile; other families have none."""
    answers: list[Answer] = []
    generate = Florence2Network.answer

    def recorded(network: Florence2Network, image: Any, request: Any) -> Answer:
        answers.append(generate(network, image, request))
        return answers[-1]

    with patch.object(Florence2Network, "answer", recorded):
        yield answers


def of_second_run(answers: list[Answer]) -> list[Answer]:
    return answers[len(answers) // 2 :]


def check_answer(answer: Answer, of_cpu: Answer) -> bool:
    """Return whether the tokens are equal. Of random weights, two tokens may be as probable: then they may differ."""
    steps = (zip(*each, strict=True) for each in (answer, of_cpu))
    for (token, probability), (other, of_other) in zip(*steps, strict=False):
        assert probability == pytest.approx(of_other, rel=0.05)
        if token != other:
            return False
    return len(answer[0]) == len(of_cpu[0])


def boxes_of(segmentation: Segmentation) -> list[tuple[int, ...]]:
    instances = segmentation.instances or ()
    return sorted((each.class_id, *astuple(each.box)) for each in instances)


def check_equal(
    results: list[Segmentation],
    expected: list[Segmentation],
    answers: Sequence[Answer] = (),
    of_cpu_answers: Sequence[Answer] = (),
) -> None:
    equal = [check_answer(*pair) for pair in zip(answers, of_cpu_answers, strict=True)]
    each = len(equal) // len(IMAGES)
    for index, (result, of_cpu, image) in enumerate(zip(results, expected, IMAGES, strict=True)):
        check(result, image.shape[:2], (1, 2, 3))
        if answers:  # equal boxes of two phrases have equal scores but for rounding, so either may have the pixels
            if all(equal[index * each : (index + 1) * each]):
                assert np.allclose(boxes_of(result), boxes_of(of_cpu), atol=1)
            continue
        assert same_label(result, of_cpu) >= 0.99
        assert len(result.instances or ()) == len(of_cpu.instances or ())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_accelerator_labels_what_the_cpu_does_with_the_stated_transfers(
    family: Family, tmp_path: Path, accelerator: Accelerator
) -> None:
    both = Both.load(family, tmp_path, "fp32")
    with recorded_answers() as answers:
        results = both.results(accelerator)
    answers = of_second_run(answers)
    assert counted(accelerator, answers) == COUNTS[family.name], accelerator.lines()
    with recorded_answers() as of_cpu:
        expected = both.expected()
    check_equal(results, expected, answers, of_cpu)
    both.on_device.close()


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_half_precision_runs_on_the_accelerator(
    family: Family, precision: str, tmp_path: Path, accelerator: Accelerator
) -> None:
    """Only shapes and ranges: of random weights, a score near its threshold decides about whole objects."""
    both = Both.load(family, tmp_path, precision)
    with recorded_answers() as answers:
        results = both.results(accelerator)
    for result, image in zip(results, IMAGES, strict=True):
        check(result, image.shape[:2], (1, 2, 3))
    counts, most = counted(accelerator, of_second_run(answers)), COUNTS[family.name]
    assert counts.uploads <= most.uploads and counts.downloads <= most.downloads  # fewer boxes
    # In fp16 transformers looks for infinities after the layer of BART's encoder, for each phrase of each image.
    looks = 2 * 3 if (family.name, precision) == ("florence2+sam2", "fp16") else 0
    assert counts.synchronisations == looks, accelerator.lines()
    both.on_device.close()


@pytest.mark.parametrize(
    "family", [f for f in FAMILIES if not f.classes], ids=lambda family: family.name
)
def test_phrases_negatives_and_examples_never_wait_for_the_accelerator(
    family: Family, tmp_path: Path, accelerator: Accelerator
) -> None:
    first, second, third, fourth, fifth = family.names(5)
    mask = np.zeros((30, 50), np.bool_)
    mask[5:25, 10:40] = True
    examples = (
        (Exemplar(blots(40, 40)), Exemplar(blots(30, 50, 4), mask)) if family.exemplars else ()
    )
    both = Both.load(
        family,
        tmp_path,
        "fp32",
        TargetClass(first, (first, second)),
        TargetClass(third, negatives=(fourth,)),
        TargetClass(fifth, (fifth,), exemplars=examples),
    )
    with recorded_answers() as answers:
        results = both.results(accelerator)
    assert accelerator.count("synchronisation") == 0, accelerator.lines()
    if (
        answers
    ):  # a negative with the same box has the same score but for rounding, so either may win
        for result, image in zip(results, IMAGES, strict=True):
            check(result, image.shape[:2], (1, 2, 3))
    else:
        check_equal(results, both.expected())


@pytest.mark.parametrize(
    "family", [f for f in FAMILIES if f.shared_space], ids=lambda family: family.name
)
def test_features_are_downloaded_with_the_labels(
    family: Family, tmp_path: Path, accelerator: Accelerator
) -> None:
    both = Both.load(family, tmp_path, "fp32")
    both = replace(both, batch=replace(both.batch, features=True))
    results = both.results(accelerator)
    assert counted(accelerator) == COUNTS[family.name], accelerator.lines()
    for result, of_cpu in zip(results, both.expected(), strict=True):
        assert result.features is not None and of_cpu.features is not None
        # Cosines of unit vectors: pixels of the resized images may differ by one grey level.
        assert (result.features.values * of_cpu.features.values).sum(axis=-1).min() > 0.999


@pytest.mark.parametrize(
    "family", [f for f in FAMILIES if f.mask_prompts], ids=lambda family: family.name
)
def test_points_boxes_and_everything_give_what_they_give_on_the_cpu(
    family: Family, tmp_path: Path, accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = Both.load(family, tmp_path, "fp32")
    point, box = MarkedPoint(20.5, 12.5), Box(5, 6, 30, 25)
    prompts = (
        MaskPrompt((point,)),
        MaskPrompt((point, MarkedPoint(50.5, 40.5, outside=True))),
        MaskPrompt(box=box),
        MaskPrompt((point,), box),
    )
    image = IMAGES[0]
    results = both.on_device.masks_of_prompts(image, prompts)
    check_objects(results, both.on_cpu.masks_of_prompts(image, prompts))
    accelerator.reset()
    both.on_device.masks_of_prompts(image, prompts)
    # The image, then points with their labels and boxes of each of four shapes; a download of the masks of each.
    assert counted(accelerator) == Counts(9, 4, 0), accelerator.lines()
    monkeypatch.setattr(all_masks, "POINTS_PER_SIDE", 6)
    both.on_device.all_masks(image, 4, 3)
    accelerator.reset()
    of_all = both.on_device.all_masks(image, 4, 3)
    # Random masks pass no filter. The image, then points with their labels; seven numbers of each mask of a batch.
    batches = math.ceil(6**2 / both.on_device._prompted_network().prompts_per_batch)
    assert counted(accelerator) == Counts(1 + 2 * batches, batches, 0), accelerator.lines()
    check_objects(of_all, both.on_cpu.all_masks(image, 4, 3))


@pytest.mark.parametrize("size", [(37, 61), (64, 40)], ids=str)
def test_masks_of_everything_are_filtered_on_the_accelerator_as_on_the_cpu(
    size: tuple[int, int], accelerator: Accelerator
) -> None:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(12, 3, 2, 2, generator=generator) * 40
    coarse[0] = -40.0  # nothing is inside
    logits = functional.interpolate(coarse, (16, 16), mode="bilinear")
    scores = 0.8 + 0.2 * torch.rand(12, 3, generator=generator)
    expected = list(all_masks._filtered(logits, scores, size, 5, 20))
    assert 3 < len(expected) < 30
    results = list(all_masks._filtered(logits.to("cuda"), scores.to("cuda"), size, 5, 20))
    assert results == expected
    assert accelerator.count("synchronisation") == 0


def check_objects(
    results: tuple[DetectedObject, ...], expected: tuple[DetectedObject, ...]
) -> None:
    assert len(results) == len(expected)
    for result, of_cpu in zip(results, expected, strict=True):
        assert result.score == pytest.approx(of_cpu.score, abs=1e-3)
        masks = np.zeros((2, *IMAGES[0].shape[:2]), np.bool_)
        for mask, detected in zip(masks, (result, of_cpu), strict=True):
            box = detected.box
            mask[box.top : box.top + box.height, box.left : box.left + box.width] = detected.mask
        assert (masks[0] == masks[1]).mean() >= 0.99


def test_each_family_has_its_counts() -> None:
    assert {family.name for family in FAMILIES} == set(COUNTS)
