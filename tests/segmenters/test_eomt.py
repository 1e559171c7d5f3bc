# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""EoMT on random-weight checkpoints, written and loaded the way real ones are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from inputs import blots, noise, segment, words
from numpy.typing import NDArray
from transformers import EomtForUniversalSegmentation
from transformers.models.eomt.image_processing_pil_eomt import EomtImageProcessorPil

from zs_seg_ros.errors import ModelError, VocabularyError
from zs_seg_ros.segmenters.eomt.segmenter import EomtSegmenter
from zs_seg_ros.segmenters.eomt.windows import resized_shape, window_starts
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.testing.eomt import published_eomt_config, small_eomt_config, write_eomt
from zs_seg_ros.testing.segformer import SMALL_LABELS
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

# Squares, wide and high ones of two to four windows, enlarged and reduced.
SIZES = [(64, 64), (48, 64), (64, 80), (130, 61), (37, 90), (200, 300), (20, 79)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("eomt")
    write_eomt(folder, small_eomt_config())
    return folder


@pytest.fixture(scope="module")
def segmenter(folder: Path) -> EomtSegmenter:
    return load(folder)


def load(folder: Path, **options: Any) -> EomtSegmenter:
    segmenter = load_segmenter(str(folder), LoadOptions(device="cpu", **options))
    assert isinstance(segmenter, EomtSegmenter)
    return segmenter


@torch.inference_mode()
def reference(folder: Path, image: NDArray[np.uint8]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the label of each pixel, and the scores of all labels (L, H, W), by transformers' own pipeline."""
    processor = EomtImageProcessorPil.from_pretrained(folder)
    inputs = processor(images=image, return_tensors="pt")
    model = EomtForUniversalSegmentation.from_pretrained(folder).eval()
    [result] = processor.post_process_semantic_segmentation(
        model(**inputs), [image.shape[:2]], return_segmentation_scores=True
    )
    return result["segmentation"], result["segmentation_scores"]


# -- equal to transformers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_labels_and_scores_are_those_of_transformers(
    folder: Path, segmenter: EomtSegmenter, size: tuple[int, int]
) -> None:
    image = blots(*size)
    expected, expected_scores = reference(folder, image)
    [scores] = torch.nn.functional.interpolate(segmenter.scores(image)[None], size, mode="bilinear")
    # Resized images differ by one of 255 levels, which torch and Pillow may round differently.
    resized = resized_shape(size, 64) != size
    torch.testing.assert_close(scores, expected_scores, rtol=0, atol=0.05 if resized else 1e-4)
    [result] = segment(segmenter, words(*SMALL_LABELS), image, threshold=0.0)
    ids = np.array(words(*SMALL_LABELS).ids)
    names = dict(enumerate(ids[expected.numpy()].ravel()))
    same = result.label.ravel() == np.array(list(names.values()))
    assert same.mean() > (0.98 if resized else 0.999)
    assert len(expected.unique()) > 2


def test_a_pixel_is_labelled_where_its_score_reaches_the_threshold(
    folder: Path, segmenter: EomtSegmenter
) -> None:
    image = blots(64, 64)
    _, scores = reference(folder, image)
    best = scores.amax(dim=0).clamp(max=1)
    for threshold in (0.3, 0.6):
        [result] = segment(segmenter, words(*SMALL_LABELS), image, threshold=threshold)
        reached = (best >= threshold).numpy()
        assert 0.01 < reached.mean() < 0.999
        assert ((result.label > 0) == reached).mean() > 0.99
        labelled = result.label > 0
        difference = np.abs(result.confidence / 255 - best.numpy())[labelled]
        assert np.median(difference) < 0.01


def test_scores_of_the_published_shape_are_those_of_transformers(tmp_path: Path) -> None:
    """tue-mps/ade20k_semantic_eomt_large_512 with one layer before and one behind the queries."""
    config = published_eomt_config()
    config.num_hidden_layers, config.num_blocks = 2, 1
    write_eomt(tmp_path, config)
    image = noise(512, 640)
    _, expected = reference(tmp_path, image)
    scores = load(tmp_path).scores(image)
    assert scores.shape == (150, 512, 640)
    torch.testing.assert_close(scores, expected, rtol=0, atol=1e-4)


# -- windows -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [64, 65, 100, 128, 129, 256])
def test_windows_cover_the_whole_side(length: int) -> None:
    starts = window_starts(length, 64)
    covered = np.zeros(length, bool)
    for start in starts:
        covered[start : start + 64] = True
    assert covered.all() and starts[0] == 0 and len(starts) == -(-length // 64)


def test_images_of_extreme_proportions_have_at_most_four_windows() -> None:
    for size in [(1, 5000), (5000, 1), (3, 90), (1, 1)]:
        height, width = resized_shape(size, 64)
        assert min(height, width) == 64 and max(height, width) <= 256


# -- names, and checkpoints that cannot be used ------------------------------------------------------------


def test_a_name_that_is_no_label_is_refused(segmenter: EomtSegmenter) -> None:
    with pytest.raises(VocabularyError, match=r"takes no words but its own labels.*mug"):
        segmenter.encode(words("mug"))
    assert segmenter.only_names == SMALL_LABELS
    with pytest.raises(VocabularyError, match="has negatives"):
        segmenter.encode(Vocabulary().changed_to([TargetClass("table", negatives=("cup",))]))


def test_a_class_of_several_labels_has_the_pixels_of_each(segmenter: EomtSegmenter) -> None:
    image = blots(64, 80)
    target = TargetClass("furniture", ("table", "swivel chair"))
    [result] = segment(segmenter, Vocabulary().changed_to([target]), image, threshold=0.0)
    [every] = segment(segmenter, words("table", "swivel chair"), image, threshold=0.0)
    assert ((result.label > 0) == (every.label > 0)).mean() > 0.999


def change(folder: Path, copy: Path, **settings: object) -> None:
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    path = copy / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def test_a_checkpoint_for_panoptic_segmentation_is_refused(folder: Path, tmp_path: Path) -> None:
    change(folder, tmp_path, do_split_image=False, do_pad=True)
    with pytest.raises(ModelError, match=r"panoptic or instance segmentation.*semantic"):
        load(tmp_path)


def test_a_preprocessor_of_another_size_is_a_model_error(folder: Path, tmp_path: Path) -> None:
    change(folder, tmp_path, size={"shortest_edge": 96, "longest_edge": None})
    with pytest.raises(ModelError, match="images of 96x96 and the model takes 64x64"):
        load(tmp_path)


def test_a_checkpoint_without_preprocessor_file_gets_the_published_values(
    folder: Path, tmp_path: Path, segmenter: EomtSegmenter
) -> None:
    change(folder, tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()
    image = noise(64, 80)
    assert torch.equal(load(tmp_path).scores(image), segmenter.scores(image))


def test_another_inference_size_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match="at its own size only"):
        load(folder, inference_size=128)
