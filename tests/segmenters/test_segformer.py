# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""SegFormer on random-weight checkpoints in the published format.

The tests compare with transformers' own image processor, model and `post_process_semantic_segmentation`: the logits,
the label of every pixel, and the confidence with the softmax of the reference's logits.
"""

import json
import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import numpy as np
import pytest
import torch
from inputs import blots, segment, words
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torchvision_stand_in import torchvision_stand_in
from transformers import SegformerForSemanticSegmentation

from zs_seg_ros.errors import ModelError, VocabularyError
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.segmenters.segformer.segmenter import SegFormerSegmenter
from zs_seg_ros.testing.segformer import (
    SMALL_LABELS,
    published_segformer_config,
    small_segformer_config,
    write_segformer,
)
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

SMALL_SIDE = 64
SIZES = [(64, 64), (48, 80), (111, 73), (300, 217), (1, 90)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("segformer")
    write_segformer(folder, small_segformer_config(), SMALL_SIDE)
    return folder


@pytest.fixture(scope="module")
def segmenter(folder: Path) -> SegFormerSegmenter:
    return load(folder)


def load(folder: Path, **options: str) -> SegFormerSegmenter:
    segmenter = load_segmenter(str(folder), LoadOptions(device="cpu", **options))
    assert isinstance(segmenter, SegFormerSegmenter)
    return segmenter


def reference(folder: Path, photo: NDArray[np.uint8]) -> tuple[NDArray[np.int64], Tensor]:
    """Run transformers' whole pipeline: the label of each pixel, and the logits (L, H / 4, W / 4)."""
    names = [f"torchvision.transforms{rest}" for rest in ("", ".v2", ".v2.functional")]
    with torchvision_stand_in(), patch.dict(sys.modules, {n: ModuleType(n) for n in names}):
        from transformers.models.segformer.image_processing_segformer import SegformerImageProcessor

        processor = SegformerImageProcessor.from_pretrained(folder)
        inputs = processor(photo, input_data_format="channels_last", return_tensors="pt")
    model = SegformerForSemanticSegmentation.from_pretrained(folder).eval()
    with torch.inference_mode():
        output = model(**inputs)
    [label] = processor.post_process_semantic_segmentation(output, [photo.shape[:2]])
    return label.numpy(), output.logits[0]


def resized(channels: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(channels[None], size, mode="bilinear")[0]


def assert_hardly_any(pixels: NDArray[np.bool_]) -> None:
    """At most one pixel, or one in a thousand: sums in another order move pixels that lie on the edge of two labels."""
    assert pixels.sum() <= 1 + 1e-3 * pixels.size


def log_odds(logits: Tensor) -> Tensor:
    """Compute the log odds of the softmax probabilities, in double precision because of their range."""
    return logits.double().softmax(dim=0).clamp(max=1 - 1e-7).logit()


# -- equal to transformers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[1]}x{size[0]}")
def test_every_pixel_has_the_label_that_the_reference_gives_it(
    folder: Path,
    segmenter: SegFormerSegmenter,
    size: tuple[int, int],
) -> None:
    photo = blots(*size)
    expected, _ = reference(folder, photo)
    vocabulary = words(*SMALL_LABELS)
    (result,) = segment(segmenter, vocabulary, photo, threshold=0.0)
    ids = np.array(vocabulary.ids)
    assert len(np.unique(expected)) > (1 if min(size) == 1 else 5)
    assert_hardly_any(result.label != ids[expected])


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[1]}x{size[0]}")
def test_the_confidence_is_the_softmax_probability(
    folder: Path,
    segmenter: SegFormerSegmenter,
    size: tuple[int, int],
) -> None:
    photo = blots(*size)
    expected, logits = reference(folder, photo)
    (result,) = segment(segmenter, words(*SMALL_LABELS), photo, threshold=0.0)
    odds = resized(log_odds(logits), size)
    probability = odds.sigmoid().gather(0, torch.from_numpy(expected)[None])[0].numpy()
    assert_hardly_any(np.abs(result.confidence - 255 * probability) > 1)
    assert np.ptp(result.confidence) > 50
    # The softmax of resized logits is equal between two labels, and higher between three.
    other = resized(logits, size).softmax(dim=0).amax(dim=0).numpy()
    assert (probability <= other + 1e-5).all()


@pytest.mark.parametrize("size", SIZES[:4], ids=lambda size: f"{size[1]}x{size[0]}")
@pytest.mark.parametrize("rank", [1, 2], ids=["largest", "second largest"])
def test_a_class_has_the_pixels_of_its_label_that_reach_the_threshold(
    folder: Path,
    segmenter: SegFormerSegmenter,
    rank: int,
    size: tuple[int, int],
) -> None:
    photo = blots(*size)
    best, logits = reference(folder, photo)
    label = int(np.bincount(best.ravel()).argsort()[-rank])
    vocabulary = words(SMALL_LABELS[label])
    odds = resized(log_odds(logits)[[label]], size)[0]
    for threshold in (0.0, 0.3, 0.6):
        (result,) = segment(segmenter, vocabulary, photo, threshold=threshold)
        expected = (best == label) & (odds.sigmoid() >= threshold).numpy()
        assert expected.any() and not expected.all()
        assert_hardly_any((result.label > 0) != expected)


def test_logits_of_the_published_shape_equal_the_reference(tmp_path: Path) -> None:
    write_segformer(tmp_path, published_segformer_config())
    pixels = torch.randn(1, 3, 512, 512, generator=torch.Generator().manual_seed(0))
    model = SegformerForSemanticSegmentation.from_pretrained(tmp_path).eval()
    with torch.inference_mode():
        expected = model(pixel_values=pixels).logits
    logits = load(tmp_path).logits(pixels)
    assert logits.shape == (1, 150, 128, 128) and expected.std() > 1
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4)


def test_only_labels_that_cannot_win_are_left_out() -> None:
    from zs_seg_ros.segmenters.shared.closed_set import _labels_that_can_win

    smooth = functional.interpolate(
        torch.randn(1, 40, 5, 6, generator=torch.Generator().manual_seed(0)),
        (30, 40),
        mode="bicubic",
    )[0]
    few = set(_labels_that_can_win(smooth).tolist())
    resized = functional.interpolate(smooth[None], (317, 433), mode="bilinear")[0]
    winners = set(resized.argmax(dim=0).unique().tolist())
    assert winners <= few and len(few) < 40


# -- labels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "tree, flora",
        "tree",
        "flora",
        "TREE",
        "  Tree ",
        "Flora",
        "door;double door",
        "double  door",
    ],
)
def test_a_label_has_each_of_its_synonyms_as_a_name(
    segmenter: SegFormerSegmenter, name: str
) -> None:
    (labels,) = {segmenter.encode(words(name)).features.labels}
    assert labels == ((2,) if "oor" in name else (3,))


def test_a_name_of_several_labels_selects_all_of_them(segmenter: SegFormerSegmenter) -> None:
    features = segmenter.encode(words("cup", "screen")).features
    assert features.labels == (8, 6, 7)
    assert features.class_of_label == (0, 1, 1)


def test_a_class_of_several_prompts_has_the_pixels_of_all(segmenter: SegFormerSegmenter) -> None:
    seat = Vocabulary().changed_to([TargetClass("seat", ("table", "swivel chair", "table"))])
    (together,) = segment(segmenter, seat, blots(48, 80), threshold=0.3)
    (apart,) = segment(segmenter, words("table", "swivel chair"), blots(48, 80), threshold=0.3)
    assert set(np.unique(apart.label)) == {0, 1, 2}
    assert_hardly_any((together.label > 0) != (apart.label > 0))
    assert_hardly_any(np.abs(together.confidence.astype(int) - apart.confidence) > 1)
    assert not segmenter.encode(seat).warnings


def test_classes_with_the_same_label_are_reported(segmenter: SegFormerSegmenter) -> None:
    (warning,) = segmenter.encode(words("tree", "flora")).warnings
    assert "'tree' and 'flora' are one label" in warning and "'tree, flora'" in warning


def test_an_unknown_prompt_is_refused_with_all_labels_when_they_are_few(
    segmenter: SegFormerSegmenter,
) -> None:
    vocabulary = Vocabulary().changed_to([TargetClass("cup"), TargetClass("pet", ("ball", "duck"))])
    with pytest.raises(VocabularyError) as refused:
        segmenter.encode(vocabulary)
    message = str(refused.value)
    assert "'duck' (of class 'pet') is none of them" in message and "\n" not in message
    assert all(repr(label) in message for label in SMALL_LABELS)


def test_an_unknown_prompt_is_refused_with_the_closest_of_many_labels(tmp_path: Path) -> None:
    labels = [f"{a} {b}" for a in ("red", "blue", "green", "old", "new") for b in "abcdefgh"]
    write_segformer(tmp_path, small_segformer_config([*labels, "chair, seat"]), SMALL_SIDE)
    with pytest.raises(VocabularyError) as refused:
        load(tmp_path).encode(words("armchair"))
    message = str(refused.value)
    assert "'armchair' is none of them; closest are 'chair', " in message
    assert "and 37 more labels stand under id2label in " in message
    assert str(tmp_path / "config.json") in message and "\n" not in message


def test_its_labels_are_its_only_names(segmenter: SegFormerSegmenter) -> None:
    assert segmenter.only_names == SMALL_LABELS
    assert not segmenter.encode(words(*segmenter.only_names)).warnings


# -- images ----------------------------------------------------------------------------------------------


def test_logits_that_are_nan_label_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = load(folder)
    good = broken.logits
    monkeypatch.setattr(broken, "logits", lambda pixels: good(pixels) * torch.nan)
    (result,) = segment(broken, words("cup", "ball"), blots(48, 80), threshold=0.0)
    assert not result.label.any() and not result.confidence.any()


def test_an_image_without_the_requested_labels_is_unlabelled(segmenter: SegFormerSegmenter) -> None:
    plain = np.full((30, 40, 3), 90, np.uint8)
    (everything,) = segment(segmenter, words(*SMALL_LABELS), plain, threshold=0.0)
    others = [
        label for i, label in enumerate(SMALL_LABELS) if i + 1 not in np.unique(everything.label)
    ]
    assert others
    (result,) = segment(segmenter, words(*others), plain, threshold=0.0)
    assert not result.label.any() and not result.confidence.any()


# -- checkpoints that cannot be used -----------------------------------------------------------------------


def test_a_checkpoint_with_another_number_of_labels_is_a_model_error(tmp_path: Path) -> None:
    write_segformer(tmp_path, small_segformer_config(), SMALL_SIDE)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    config["id2label"]["10"] = "one too many"
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(tmp_path)


def test_a_checkpoint_for_whole_images_is_a_model_error(tmp_path: Path) -> None:
    write_segformer(tmp_path, small_segformer_config(), SMALL_SIDE)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "reshape_last_stage": False}))
    with pytest.raises(ModelError, match="reshape_last_stage false"):
        load(tmp_path)


def test_a_checkpoint_without_preprocessor_file_gets_the_published_values(tmp_path: Path) -> None:
    write_segformer(tmp_path, small_segformer_config(), SMALL_SIDE)
    (tmp_path / "preprocessor_config.json").unlink()
    (result,) = segment(load(tmp_path), words("cup"), blots(48, 80))
    assert result.label.shape == (48, 80)
