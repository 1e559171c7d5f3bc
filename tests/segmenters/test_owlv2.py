# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""OWLv2 on random-weight checkpoints, written and loaded the way real ones are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from inputs import blots
from numpy.typing import NDArray
from PIL import Image
from transformers import CLIPTokenizer, Owlv2ForObjectDetection, Owlv2Processor
from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil

from zs_seg_ros.errors import ModelError, VocabularyError
from zs_seg_ros.segmenters.boxes_then_masks.owlv2 import Owlv2Detector
from zs_seg_ros.segmenters.boxes_then_masks.owlv2_images import prepare_square
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.testing.clipseg import write_tokenizer
from zs_seg_ros.testing.owlv2 import published_owlv2_config, small_owlv2_config, write_owlv2

PROMPTS = ("red mug", "blue car", "duck", "a long green thing")
# Enlarged, reduced with smoothing, and both at once.
SIZES = [(48, 64), (64, 64), (37, 90), (300, 211), (1, 1), (1, 200), (200, 1)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("owlv2")
    write_owlv2(folder, small_owlv2_config(), words=("red", "mug", "blue", "car"), seed=1)
    return folder


@pytest.fixture(scope="module")
def detector(folder: Path) -> Owlv2Detector:
    return load(folder)


def load(folder: Path, **options: str) -> Owlv2Detector:
    return Owlv2Detector(str(folder), folder, LoadOptions(device="cpu", **options))


def reference(
    folder: Path, photo: NDArray[np.uint8], prompts: tuple[str, ...], threshold: float
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Return the detections of transformers' processor, model and post-processing, and the logits (N, P)."""
    processor = Owlv2Processor(
        Owlv2ImageProcessorPil.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder)
    )
    model = Owlv2ForObjectDetection.from_pretrained(folder).eval()
    inputs = processor(
        text=[list(prompts)],
        images=Image.fromarray(
            photo
        ),  # in an array with one row it would take the row for a channel
        return_tensors="pt",
    )
    with torch.inference_mode():
        outputs = model(**inputs)
    [result] = processor.post_process_grounded_object_detection(
        outputs, threshold=threshold, target_sizes=[photo.shape[:2]]
    )
    return result, outputs.logits[0]


# -- equal to transformers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[1]}x{size[0]}")
@pytest.mark.parametrize("side", [64, 100])
def test_images_equal_those_of_the_processor(size: tuple[int, int], side: int) -> None:
    """Padding, smoothing, resizing and normalising, against scipy as transformers calls it."""
    processor = Owlv2ImageProcessorPil(size={"height": side, "width": side})
    photo = blots(*size)
    expected = processor(Image.fromarray(photo), return_tensors="pt").pixel_values
    mean, std = torch.tensor(processor.image_mean), torch.tensor(processor.image_std)
    prepared = prepare_square([photo], side, mean, std, torch.float32)
    torch.testing.assert_close(prepared, expected.float(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[1]}x{size[0]}")
def test_boxes_and_scores_equal_the_reference(
    folder: Path, detector: Owlv2Detector, size: tuple[int, int]
) -> None:
    """Boxes in pixels, scores and phrases, against transformers' processor, forward and post-processing."""
    photo, threshold = blots(*size), 0.3
    expected, logits = reference(folder, photo, PROMPTS, threshold)
    scores, _ = detector.scores_and_boxes([photo], detector.encode(PROMPTS))
    torch.testing.assert_close(scores[0], logits.sigmoid(), rtol=0, atol=1e-4)
    [detected] = detector.detect(
        [photo], detector.encode(PROMPTS), np.full(len(PROMPTS), threshold, np.float32)
    )
    # The reference reports the arg-max over the phrases for each box.
    reported, best = scores[0].amax(dim=1) >= threshold, scores[0].argmax(dim=1)
    by_prompt: dict[int, list[torch.Tensor]] = {prompt: [] for prompt in range(len(PROMPTS))}
    for corners, score, prompt in zip(
        detected.corners, detected.scores, detected.prompt_index.tolist(), strict=True
    ):
        by_prompt[prompt].append(torch.cat([corners, score[None]]))
    assert len(expected["boxes"]) == int(reported.sum())
    assert best[reported].tolist() == expected["labels"].tolist()
    for corners, score, prompt in zip(
        expected["boxes"], expected["scores"], expected["labels"].tolist(), strict=True
    ):
        nearest_to = torch.cat([corners, score[None]])
        gap = min(float((box - nearest_to).abs().max()) for box in by_prompt[prompt])
        assert gap < 1e-4 * max(size)


def test_the_reference_has_enough_detections_to_compare(folder: Path) -> None:
    expected, logits = reference(folder, blots(48, 64), PROMPTS, 0.3)
    assert 5 < len(expected["boxes"]) < 60
    assert len(expected["labels"].unique()) > 1
    assert logits.std() > 1 and logits.std(dim=1).mean() > 0.3


def test_scores_of_the_published_shape_equal_the_reference(tmp_path: Path) -> None:
    """google/owlv2-base-patch16-ensemble with one layer in each encoder: scores of all 3600 patches."""
    config = published_owlv2_config()
    config.vision_config.num_hidden_layers = config.text_config.num_hidden_layers = 1
    write_owlv2(tmp_path, config)
    photo = blots(480, 640)
    _, logits = reference(tmp_path, photo, PROMPTS[:2], 0.3)
    detector = load(tmp_path)
    scores, _ = detector.scores_and_boxes([photo], detector.encode(PROMPTS[:2]))
    assert scores.shape == (1, 3600, 2)
    assert logits.std() > 0.5
    torch.testing.assert_close(scores[0], logits.sigmoid(), rtol=0, atol=1e-4)


# -- differences from transformers -------------------------------------------------------------------------


def test_a_box_is_reported_for_each_phrase_whose_threshold_it_reaches(
    detector: Owlv2Detector,
) -> None:
    """The post-processing of transformers keeps the arg-max alone, which makes classes depend on each other."""
    encoded = detector.encode(("red mug", "red mug", "blue car"))
    [detected] = detector.detect([blots(48, 64)], encoded, np.full(3, 0.3, np.float32))
    first, second, third = (
        detected.corners[detected.prompt_index == prompt] for prompt in range(3)
    )
    assert len(first) > 0 and len(third) > 0
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert first.shape != third.shape or not torch.equal(first, third)


def test_each_phrase_has_its_own_threshold(detector: Owlv2Detector) -> None:
    encoded = detector.encode(("blue car", "blue car"))
    [detected] = detector.detect([blots(48, 64)], encoded, np.array([0.2, 0.4], np.float32))
    scores = [detected.scores[detected.prompt_index == prompt] for prompt in (0, 1)]
    assert len(scores[0]) > len(scores[1]) > 0
    assert scores[0].min() >= 0.2 and scores[1].min() >= 0.4


def test_images_of_several_sizes_do_not_depend_on_each_other(detector: Owlv2Detector) -> None:
    encoded, limits = detector.encode(PROMPTS), np.full(len(PROMPTS), 0.3, np.float32)
    photos = [blots(48, 64, 1), blots(90, 30, 2)]
    for detected, photo in zip(detector.detect(photos, encoded, limits), photos, strict=True):
        [alone] = detector.detect([photo], encoded, limits)
        torch.testing.assert_close(detected.corners, alone.corners, rtol=0, atol=1e-3)


def test_16_bit_images_are_scaled_from_their_full_range(detector: Owlv2Detector) -> None:
    photo, encoded = blots(48, 64), detector.encode(PROMPTS)
    deep = photo.astype(np.uint16) * 257
    for eight_bits, sixteen_bits in zip(
        detector.scores_and_boxes([photo], encoded),
        detector.scores_and_boxes([deep], encoded),
        strict=True,
    ):
        torch.testing.assert_close(eight_bits, sixteen_bits, rtol=0, atol=1e-4)


# -- checkpoints and phrases that cannot be used -----------------------------------------------------------


def test_a_phrase_longer_than_the_model_accepts_is_refused(detector: Owlv2Detector) -> None:
    detector.encode(["x " * 13 + "x"])  # 14 tokens, start and end: 16
    with pytest.raises(VocabularyError, match=r"has 15 tokens .* reads at most 14"):
        detector.encode(["x " * 14 + "x"])


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A checkpoint to damage."""
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def test_a_tokenizer_of_another_model_is_a_model_error(copy: Path) -> None:
    write_tokenizer(copy, 700)
    with pytest.raises(ModelError, match="has 700 tokens and the model only 600"):
        load(copy)


def test_a_preprocessor_of_another_size_is_a_model_error(copy: Path) -> None:
    Owlv2ImageProcessorPil(size={"height": 96, "width": 96}).save_pretrained(copy)
    with pytest.raises(ModelError, match="images of 96x96 and the model takes 64x64"):
        load(copy)


def test_a_checkpoint_without_preprocessor_file_gets_the_published_values(
    copy: Path, detector: Owlv2Detector
) -> None:
    (copy / "preprocessor_config.json").unlink()
    without, encoded = load(copy), detector.encode(PROMPTS)
    results, expected = (d.scores_and_boxes([blots(48, 64)], encoded) for d in (without, detector))
    torch.testing.assert_close(results, expected, rtol=0, atol=0)
