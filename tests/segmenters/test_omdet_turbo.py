# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""OmDet-Turbo on random-weight checkpoints, written and loaded the way real ones are."""

from __future__ import annotations

import gc
import importlib.util
import json
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from calls import calls_of
from inputs import detect, noise
from matching import check_same_rows
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision_stand_in import torchvision_stand_in
from transformers import CLIPTokenizer, OmDetTurboForObjectDetection
from transformers.models.detr.image_processing_pil_detr import DetrImageProcessorPil
from transformers.models.omdet_turbo.processing_omdet_turbo import OmDetTurboProcessor

from zs_seg_ros.errors import ModelError, VocabularyError
from zs_seg_ros.segmenters.boxes_then_masks.boxes import Boxes
from zs_seg_ros.segmenters.boxes_then_masks.omdet_turbo import OmDetTurboDetector, without_overlaps
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.testing.clipseg import write_tokenizer
from zs_seg_ros.testing.omdet_turbo import (
    published_omdet_turbo_config,
    small_omdet_turbo_config,
    write_omdet_turbo,
)

SIDE = 64
WORDS = ("red", "blue", "mug", "car", "duck", "ball", "detect")
PROMPTS = ("blue car", "carpet", "duck", "red mug")  # in the order of a task


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("omdet-turbo")
    write_omdet_turbo(folder, small_omdet_turbo_config(), SIDE, WORDS)
    return folder


@pytest.fixture(scope="module")
def detector(folder: Path) -> OmDetTurboDetector:
    return load(folder)


def load(folder: Path, **options: str) -> OmDetTurboDetector:
    return OmDetTurboDetector(str(folder), folder, LoadOptions(device="cpu", **options))


def iou(one: Tensor, other: Tensor) -> float:
    """Intersection over union of two boxes (4,)."""
    low, high = torch.maximum(one[:2], other[:2]), torch.minimum(one[2:], other[2:])
    shared = (high - low).clamp(min=0).prod()
    areas = [(box[2:] - box[:2]).prod() for box in (one, other)]
    return float(shared / (sum(areas) - shared))


def batched_nms(boxes: Tensor, scores: Tensor, labels: Tensor, most: float) -> Tensor:
    """Do what the documentation of torchvision.ops.batched_nms says."""
    kept: list[int] = []
    for i in scores.argsort(descending=True).tolist():
        same_label = [j for j in kept if labels[j] == labels[i]]
        if all(iou(boxes[i], boxes[j]) <= most for j in same_label):
            kept.append(i)
    return torch.tensor(kept, dtype=torch.int64)


def reference(
    folder: Path,
    photo: NDArray[np.uint8],
    prompts: tuple[str, ...],
    threshold: float,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, Tensor]:
    """Return the detections of transformers' processor, model and post-processing."""
    processing = sys.modules[OmDetTurboProcessor.__module__]
    monkeypatch.setattr(processing, "batched_nms", batched_nms, raising=False)
    with torchvision_stand_in():
        from transformers.models.detr.image_processing_detr import DetrImageProcessor

        processor = OmDetTurboProcessor(
            DetrImageProcessor.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder)
        )
        inputs = processor([Image.fromarray(photo)], text=[list(prompts)], return_tensors="pt")
    model = OmDetTurboForObjectDetection.from_pretrained(folder).eval()
    with torch.inference_mode():
        outputs = model(**inputs)
        # By default it takes as many pairs of box and phrase as there are boxes; here it takes all.
        pairs = outputs.decoder_class_logits[0].numel()
        [result] = processor.post_process_grounded_object_detection(
            outputs, threshold=threshold, target_sizes=[photo.shape[:2]], max_num_det=pairs
        )
    return result


def check_equal(
    detected: Boxes, expected: dict[str, Tensor], size: tuple[int, int], least: int
) -> None:
    """Compare all boxes, scores and phrases; there must be at least `least`. The reference clips boxes to the image."""
    edges = torch.tensor((size[1], size[0]) * 2)
    corners = torch.minimum(detected.corners.clamp(min=0), edges)
    assert len(expected["scores"]) >= least and expected["scores"].std() > 0.02
    check_same_rows(
        rows(corners, detected.scores, detected.prompt_index, max(size)),
        rows(expected["boxes"], expected["scores"], expected["labels"], max(size)),
        1e-4,
    )


def rows(corners: Tensor, scores: Tensor, prompt_index: Tensor, longest: int) -> Tensor:
    """(N, 6): corners as shares of the longer side of the image, scores and phrases."""
    return torch.cat([corners / longest, scores[:, None], prompt_index[:, None]], dim=1)


# -- equal to transformers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("prompts", [PROMPTS[1:2], PROMPTS], ids=lambda p: " and ".join(p))
@pytest.mark.parametrize("size", [(40, 50), (64, 64), (31, 23), (120, 200), (1, 30)])
def test_boxes_scores_and_phrases_equal_those_of_the_reference(
    folder: Path,
    detector: OmDetTurboDetector,
    monkeypatch: pytest.MonkeyPatch,
    prompts: tuple[str, ...],
    size: tuple[int, int],
) -> None:
    """Processor, forward pass and post-processing with non-maximum suppression."""
    expected = reference(folder, noise(*size), prompts, 0.1, monkeypatch)
    [detected] = detect(detector, prompts, noise(*size), threshold=0.1)
    check_equal(detected, expected, size, 5)


def test_the_published_widths_equal_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published shape with fewer layers and queries, which shortens the test."""
    config = published_omdet_turbo_config()
    config.text_config.num_hidden_layers = config.decoder_num_layers = 2
    config.num_queries = 100
    write_omdet_turbo(tmp_path, config, 256, WORDS)
    expected = reference(tmp_path, noise(40, 50), PROMPTS, 0.3, monkeypatch)
    [detected] = detect(load(tmp_path), PROMPTS, noise(40, 50), threshold=0.3)
    check_equal(detected, expected, (40, 50), 5)


# -- non-maximum suppression -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_non_maximum_suppression_equals_its_definition(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    low = torch.rand(60, 2, generator=random) * 20
    boxes = torch.cat([low, low + 5 + torch.rand(60, 2, generator=random) * 20], dim=1)
    scores = torch.rand(60, generator=random)
    expected = batched_nms(boxes, scores, torch.zeros(60), 0.5)
    assert 5 < len(expected) < 55
    assert torch.equal(without_overlaps(boxes, scores, 0.5), expected)


def test_boxes_without_extent_suppress_nothing() -> None:
    assert without_overlaps(torch.zeros(0, 4), torch.zeros(0), 0.5).tolist() == []
    assert without_overlaps(torch.ones(2, 4), torch.tensor([0.1, 0.2]), 0.5).tolist() == [1, 0]


# -- each input is encoded once ----------------------------------------------------------------------------


def test_text_is_encoded_once_per_vocabulary_and_an_image_once_for_all_tasks(
    folder: Path,
) -> None:
    detector = load(folder)
    with calls_of(detector.network.language_backbone.model) as texts:
        tasks = detector.encode(many(70))
        runs = len(texts)
        assert len(tasks) > 2 and runs == 2 * len(tasks)  # phrases, and the sentence
        with calls_of(detector.network.vision_backbone) as images:
            for _ in range(3):
                detector.detect([noise(40, 50)], tasks, np.full(70, 0.5, np.float32))
        assert len(texts) == runs and len(images) == 3


# -- phrases -----------------------------------------------------------------------------------------------


def many(count: int) -> tuple[str, ...]:
    return tuple(sorted(f"{a} {b} {c}" for a in WORDS for b in WORDS for c in WORDS))[:count]


def test_a_phrase_of_a_second_task_equals_the_reference(
    folder: Path, detector: OmDetTurboDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = detector.encode(many(70))[-1].prompt_index
    prompts = tuple(many(70)[i] for i in last.tolist())
    expected = reference(folder, noise(40, 50), prompts, 0.3, monkeypatch)
    [detected] = detect(detector, many(70), noise(40, 50), threshold=0.3)
    chosen = detected.prompt_index >= last[0]
    in_last = Boxes(
        detected.corners[chosen], detected.scores[chosen], detected.prompt_index[chosen] - last[0]
    )
    check_equal(in_last, expected, (40, 50), 5)


def test_tasks_hold_each_phrase_once_and_are_no_longer_than_the_model_accepts(
    detector: OmDetTurboDetector,
) -> None:
    tasks = detector.encode(many(200))
    assert sorted(i for task in tasks for i in task.prompt_index.tolist()) == list(range(200))
    lengths = [len(task.sentence) for task in tasks]
    assert max(lengths) <= 77 and min(lengths[:-1]) > 77 - 4


def test_a_phrase_that_two_classes_share_is_detected_for_both(detector: OmDetTurboDetector) -> None:
    [detected] = detect(detector, ("duck", "red mug", "duck"), noise(40, 50), threshold=0.3)
    [alone] = detect(detector, ("duck", "red mug"), noise(40, 50), threshold=0.3)
    first, last, once = (
        boxes.scores[boxes.prompt_index == prompt]
        for boxes, prompt in ((detected, 0), (detected, 2), (alone, 0))
    )
    assert len(first)
    torch.testing.assert_close(first, last, rtol=0, atol=1e-6)
    torch.testing.assert_close(first, once, rtol=0, atol=1e-6)


def test_a_phrase_longer_than_a_task_is_refused(detector: OmDetTurboDetector) -> None:
    detector.encode(["x " * 73])  # with start, "detect", full stop and end: 77
    with pytest.raises(VocabularyError, match=r"has 78 tokens and .* reads at most 77"):
        detector.encode(["duck", "x " * 74])


# -- classes influence each other --------------------------------------------------------------------------


def test_the_order_of_phrases_changes_nothing(detector: OmDetTurboDetector) -> None:
    for prompts in (PROMPTS, many(70)):
        [forwards] = detect(detector, prompts, noise(40, 50), threshold=0.3)
        [backwards] = detect(detector, prompts[::-1], noise(40, 50), threshold=0.3)
        for prompt in range(len(prompts)):
            first = forwards.scores[forwards.prompt_index == prompt]
            last = backwards.scores[backwards.prompt_index == len(prompts) - 1 - prompt]
            assert torch.equal(first, last)  # of the same computation, as tasks are sorted


def test_scores_of_a_phrase_depend_little_on_the_other_phrases(
    detector: OmDetTurboDetector,
) -> None:
    """The highest logit of a phrase, alone and with three others in its task."""
    changes = []
    for seed in range(5):
        [together] = detect(detector, PROMPTS, noise(40, 50, seed), threshold=0)
        for index, prompt in enumerate(PROMPTS):
            [alone] = detect(detector, (prompt,), noise(40, 50, seed), threshold=0)
            among = together.scores[together.prompt_index == index]
            changes.append((among.max().logit() - alone.scores.max().logit()).abs().item())
    assert 0.01 < np.mean(changes) < 1 and max(changes) < 3


# -- images ------------------------------------------------------------------------------------------------


def test_images_of_several_sizes_do_not_depend_on_each_other(detector: OmDetTurboDetector) -> None:
    images = [noise(40, 50, 1), noise(90, 30, 2), noise(1, 300, 3)]
    together = detect(detector, PROMPTS, *images, threshold=0.3)
    for image, detected in zip(images, together, strict=True):
        [alone] = detect(detector, PROMPTS, image, threshold=0.3)
        assert len(detected.scores) > 3
        torch.testing.assert_close(detected.scores, alone.scores, rtol=0, atol=1e-5)
        torch.testing.assert_close(detected.corners, alone.corners, rtol=0, atol=1e-3)


def test_images_in_one_batch_do_not_depend_on_each_other(detector: OmDetTurboDetector) -> None:
    """A GPU encodes several at once, a CPU one at a time."""
    pixels = torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    [task] = detector.encode(PROMPTS)
    together = detector.logits_and_boxes(detector.encode_images(pixels), task)
    for i in range(3):
        alone = detector.logits_and_boxes(detector.encode_images(pixels[i : i + 1]), task)
        check_same_rows(
            torch.cat([logits_or_boxes[i] for logits_or_boxes in together], dim=1),
            torch.cat([logits_or_boxes[0] for logits_or_boxes in alone], dim=1),
            1e-4,
        )


def test_each_phrase_has_its_own_threshold(detector: OmDetTurboDetector) -> None:
    thresholds = np.array([0.1, 0.3, 1.0, 0.6], np.float32)
    [detected] = detector.detect([noise(40, 50)], detector.encode(PROMPTS), thresholds)
    least = [detected.scores[detected.prompt_index == i].min().item() for i in (0, 1, 3)]
    assert 2 not in detected.prompt_index
    assert least[0] >= 0.1 and least[1] >= 0.3 and least[2] >= 0.6


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_16_bits_are_close_to_32(
    folder: Path, detector: OmDetTurboDetector, precision: str
) -> None:
    """Other cells may become queries; the highest scores of the phrases change little on average."""
    [exact] = detect(detector, PROMPTS, noise(40, 50), threshold=0)
    [close] = detect(load(folder, precision=precision), PROMPTS, noise(40, 50), threshold=0)
    assert close.corners.dtype == close.scores.dtype == torch.float32
    changes = []
    for prompt in range(len(PROMPTS)):
        highest, other = (b.scores[b.prompt_index == prompt].max() for b in (exact, close))
        changes.append(abs(highest - other))
    assert np.mean(changes) < 0.1


# -- checkpoints -------------------------------------------------------------------------------------------


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A checkpoint to change."""
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def change(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_images_may_be_normalised_as_0_to_1_or_0_to_255(
    copy: Path, detector: OmDetTurboDetector
) -> None:
    DetrImageProcessorPil(
        size={"height": SIDE, "width": SIDE},
        image_mean=(0.485, 0.456, 0.406),
        image_std=(0.229, 0.224, 0.225),
    ).save_pretrained(copy)
    [detected], [expected] = (
        detect(d, PROMPTS, noise(40, 50), threshold=0.3) for d in (load(copy), detector)
    )
    torch.testing.assert_close(detected.scores, expected.scores, rtol=0, atol=1e-4)


def test_an_image_encoder_of_timm_without_timm_is_a_model_error(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    backbone = {"model_type": "timm_backbone", "backbone": "swin_tiny_patch4_window7_224"}
    change(copy / "config.json", backbone_config=backbone)
    with pytest.raises(ModelError, match=r"timm, which is not installed; run: .*--no-deps timm"):
        load(copy)


def test_a_tokenizer_of_another_model_is_a_model_error(copy: Path) -> None:
    write_tokenizer(copy, 700)
    with pytest.raises(ModelError, match="has 700 tokens and the model only 600"):
        load(copy)


def test_a_checkpoint_without_preprocessor_file_gets_the_published_values(copy: Path) -> None:
    (copy / "preprocessor_config.json").unlink()
    [detected] = detect(load(copy), ("duck",), noise(40, 50), threshold=0)
    assert len(detected.scores) > 3


def test_a_detector_that_is_no_longer_used_frees_its_weights(folder: Path) -> None:
    detector = load(folder)
    detect(detector, PROMPTS, noise(40, 50), threshold=0.3)
    weights = weakref.ref(detector.network.decoder)
    del detector
    gc.collect()
    assert weights() is None
