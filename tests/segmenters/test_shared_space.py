# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The shared space of words and images: what all families with one have in common, and each one's references."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from families import FAMILIES, Family
from inputs import blots, noise, words
from numpy.typing import NDArray
from small_bags import SHIPPED_BAG
from torch import Tensor
from torch.nn import functional
from transformers import CLIPSegForImageSegmentation, CLIPTokenizer, Tipsv2Model
from transformers.models.tipsv2.tokenization_tipsv2 import Tipsv2Tokenizer
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from zs_seg_ros.bags.bag import Bag, ground_truth_labels
from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.base import Segmenter, SharedSpace, shared_space_of
from zs_seg_ros.segmenters.dense.segmenter import DenseSegmenter
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.segmenters.shared.example_pooling import pooled_over
from zs_seg_ros.segmenters.tipsv2.segmenter import TEMPLATES
from zs_seg_ros.types import Batch, Box

PROMPTS = ["red mug", "blue car", "duck"]
SHARED = [family for family in FAMILIES if family.shared_space]


@pytest.fixture(scope="module", params=SHARED, ids=lambda family: family.name)
def segmenter(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Segmenter:
    return load(request.param, tmp_path_factory.mktemp(request.param.name))


def load(family: Family, folder: Path) -> Segmenter:
    return load_segmenter(family.write(folder), LoadOptions(device="cpu"))


def lengths(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.linalg.norm(vectors, axis=-1)


def test_prompts_and_images_are_unit_vectors_of_one_dimension(segmenter: Segmenter) -> None:
    space = shared_space_of(segmenter)
    text, grid = space.embed_prompts(PROMPTS), space.embed_image(blots(40, 70))
    assert text.dtype == grid.values.dtype == np.float32
    assert text.shape == (3, grid.values.shape[2]) and grid.values.ndim == 3
    assert grid.model == segmenter.model
    assert lengths(text) == pytest.approx(1, abs=1e-5)
    assert lengths(grid.values) == pytest.approx(1, abs=1e-5)


def test_prompts_are_embedded_one_by_one_and_in_order(segmenter: Segmenter) -> None:
    space = shared_space_of(segmenter)
    text = space.embed_prompts([*PROMPTS, "duck"])
    assert np.array_equal(text[2], text[3]) and not np.allclose(text[0], text[1], atol=1e-3)
    for prompt, row in zip(PROMPTS, text, strict=False):
        assert space.embed_prompts([prompt])[0] == pytest.approx(row, abs=1e-5)


def test_segment_adds_features_only_where_they_are_requested(segmenter: Segmenter) -> None:
    vocabulary = words("red mug", "duck")
    images = (blots(40, 70), noise(48, 64))
    encoded, thresholds = segmenter.encode(vocabulary), vocabulary.thresholds(0.3)
    plain = segmenter.segment(Batch(images, thresholds), encoded)
    with_features = segmenter.segment(Batch(images, thresholds, features=True), encoded)
    assert [result.features for result in plain] == [None, None]
    for image, without, result in zip(images, plain, with_features, strict=True):
        assert np.array_equal(without.label, result.label)
        assert result.features is not None
        own = shared_space_of(segmenter).embed_image(image)
        assert result.features.values == pytest.approx(own.values, abs=1e-4)


def test_features_change_where_the_image_does(segmenter: Segmenter) -> None:
    """The cell that differs most after a change in one corner is a cell of that corner."""
    image = np.full((64, 64, 3), 90, np.uint8)
    changed = image.copy()
    changed[48:, :16] = noise(16, 16)
    space = shared_space_of(segmenter)
    before, after = space.embed_image(image).values, space.embed_image(changed).values
    difference = lengths(after - before)
    row, column = np.unravel_index(int(difference.argmax()), difference.shape)
    assert row >= difference.shape[0] / 2 and column < difference.shape[1] / 2


@pytest.mark.parametrize(
    "family", [f for f in FAMILIES if not f.shared_space], ids=lambda family: family.name
)
def test_other_families_refuse_and_name_those_that_can(family: Family, tmp_path: Path) -> None:
    segmenter = load(family, tmp_path)
    assert not isinstance(segmenter, SharedSpace)
    with pytest.raises(ModelError, match=r"no shared space.*CLIPSeg, TIPSv2 or .*tabletop"):
        shared_space_of(segmenter)
    vocabulary = words(*family.names(2))
    batch = Batch((noise(),), vocabulary.thresholds(0.5), features=True)
    [result] = segmenter.segment(batch, segmenter.encode(vocabulary))
    assert result.features is None


# --- references: transformers' own functions ---


def unit(vectors: Tensor) -> NDArray[np.float32]:
    units: NDArray[np.float32] = functional.normalize(vectors.detach(), dim=-1).numpy()
    return units


def of_name(name: str) -> Family:
    return next(family for family in FAMILIES if family.name == name)


@torch.inference_mode()
def test_clipseg_has_the_text_features_of_transformers(tmp_path: Path) -> None:
    segmenter = load(of_name("clipseg"), tmp_path)
    model = CLIPSegForImageSegmentation.from_pretrained(tmp_path).eval()
    tokens = CLIPTokenizer.from_pretrained(tmp_path)(PROMPTS, padding=True, return_tensors="pt")
    expected = unit(model.clip.get_text_features(**tokens).pooler_output)
    assert shared_space_of(segmenter).embed_prompts(PROMPTS) == pytest.approx(expected, abs=1e-4)


@torch.inference_mode()
def test_clipseg_patches_are_those_of_a_last_layer_that_attends_to_itself(tmp_path: Path) -> None:
    """MaskCLIP: transformers' image encoder with an attention mask, in the last layer, of each token to itself."""
    segmenter = load(of_name("clipseg"), tmp_path)
    model = CLIPSegForImageSegmentation.from_pretrained(tmp_path).eval()
    vision = model.clip.vision_model
    image = noise(64, 64)
    processor = ViTImageProcessorPil.from_pretrained(tmp_path)
    pixels = processor(image, return_tensors="pt")["pixel_values"]
    hidden = vision.pre_layrnorm(vision.embeddings(pixels))
    *earlier, last = vision.encoder.layers
    for layer in earlier:
        hidden = layer(hidden, None)
    apart = torch.full((hidden.shape[1],) * 2, torch.finfo(torch.float32).min)
    hidden = last(hidden, apart.fill_diagonal_(0)[None, None])
    expected = model.clip.visual_projection(vision.post_layernorm(hidden))[0, 1:]
    values = shared_space_of(segmenter).embed_image(image).values
    assert values.reshape(len(expected), -1) == pytest.approx(unit(expected), abs=1e-4)


@torch.inference_mode()
def test_tipsv2_has_the_mean_text_features_of_its_templates(tmp_path: Path) -> None:
    segmenter = load(of_name("tipsv2"), tmp_path)
    model = Tipsv2Model.from_pretrained(tmp_path).eval()
    tokenizer = Tipsv2Tokenizer.from_pretrained(tmp_path)
    for prompt, row in zip(PROMPTS, shared_space_of(segmenter).embed_prompts(PROMPTS), strict=True):
        tokens = tokenizer([t.format(prompt) for t in TEMPLATES], padding=True, return_tensors="pt")
        features = functional.normalize(model.get_text_features(**tokens).pooler_output, dim=-1)
        assert row == pytest.approx(unit(features.mean(dim=0)), abs=1e-4)


def test_a_dense_prompt_of_two_words_lies_in_the_plane_of_both(tmp_path: Path) -> None:
    """The text encoder sums words, and the offsets of the logits are no part of the vectors."""
    segmenter = load(of_name("dense"), tmp_path)
    assert isinstance(segmenter, DenseSegmenter)
    mug, duck, both = segmenter.embed_prompts(["mug", "duck", "mug duck"])
    plane = np.stack([mug, duck], axis=1)
    solution, *_ = np.linalg.lstsq(plane, both, rcond=None)
    assert mug.shape == (8,) and plane @ solution == pytest.approx(both, abs=1e-4)


# --- the built-in model ---


def test_words_find_the_objects_of_the_shipped_recording() -> None:
    """Of 31 names the one whose vector is most similar to an object is its own, for nineteen objects of twenty."""
    space = shared_space_of(load_segmenter("tabletop", LoadOptions(device="cpu")))
    folder = SHIPPED_BAG
    names = [label.name for label in ground_truth_labels(folder)]
    text = space.embed_prompts(names)
    with Bag(folder) as bag:
        images = [m.content for m in bag.messages(["/camera/image_raw"])][::30]
        truths = [m.content for m in bag.messages(["/camera/ground_truth/label"])][::30]
    right = []
    for message, truth in zip(images, truths, strict=True):
        image = np.asarray(message.data).reshape(message.height, message.width, 3)
        label = np.asarray(truth.data).reshape(truth.height, truth.width)
        grid = space.embed_image(image)
        for class_id in np.unique(label[label > 0]).tolist():
            mask = label == class_id
            if mask.sum() >= 50:
                box = Box(0, 0, mask.shape[1], mask.shape[0])
                vector = pooled_over(grid, mask.shape, box, mask)
                right.append(names[int((text @ vector).argmax())] == names[class_id - 1])
    assert len(right) >= 60 and np.mean(right) >= 0.95
