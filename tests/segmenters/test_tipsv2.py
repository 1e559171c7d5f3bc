# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""TIPSv2 on random-weight checkpoints in the published format.

The tests compare with transformers' own processor and model: the prepared images and the text embeddings of its
processor and `Tipsv2Model`; the patch embeddings of a model whose last attention gives each patch its own value, which
is the method of the authors; their cosines; and the label of every pixel.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from types import MethodType

import numpy as np
import pytest
import torch
from inputs import noise, segment, words
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional
from torchvision_stand_in import torchvision_stand_in
from transformers import Tipsv2Config, Tipsv2Model, Tipsv2Processor
from transformers.models.tipsv2.image_processing_tipsv2 import Tipsv2ImageProcessor
from transformers.models.tipsv2.tokenization_tipsv2 import Tipsv2Tokenizer

from zs_seg_ros.errors import ModelError, VocabularyError
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.segmenters.tipsv2.segmenter import ANYTHING, TEMPLATES, Tipsv2Segmenter
from zs_seg_ros.testing.tipsv2 import (
    published_tipsv2_config,
    published_tipsv2_l14_config,
    small_tipsv2_config,
    write_tipsv2,
    write_tipsv2_tokenizer,
)
from zs_seg_ros.types import Batch
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

SMALL_SIDE = 56
WORDS = ("red", "blue", "mug", "car", "duck", "photo")
PROMPTS = ("red mug", "Blue car", "duck", "a cup of tea, café")
SIZES = [(56, 56), (48, 80), (111, 73), (1, 90)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tipsv2")
    write_tipsv2(folder, small_tipsv2_config(), SMALL_SIDE, WORDS)
    return folder


@pytest.fixture(scope="module")
def segmenter(folder: Path) -> Tipsv2Segmenter:
    return load(folder)


def load(folder: Path, **options: str) -> Tipsv2Segmenter:
    segmenter = load_segmenter(str(folder), LoadOptions(device="cpu", **options))
    assert isinstance(segmenter, Tipsv2Segmenter)
    return segmenter


def prepared(folder: Path, photo: NDArray[np.uint8]) -> Tensor:
    """Prepare an image with transformers' own image processor."""
    with torchvision_stand_in():
        processor = Tipsv2ImageProcessor.from_pretrained(folder)
        inputs = processor(photo, input_data_format="channels_last", return_tensors="pt")
    pixels: Tensor = inputs["pixel_values"]
    return pixels


@torch.inference_mode()
def reference_patches(folder: Path, pixels: Tensor) -> Tensor:
    """Run transformers' model with values for attention in its last layer: (patches, D), unit vectors."""
    model = Tipsv2Model.from_pretrained(folder).eval()
    last = model.vision_model.encoder.layer[-1].attention

    def values_only(self: torch.nn.Module, hidden: Tensor, **_: object) -> tuple[Tensor, None]:
        return self.o_proj(self.v_proj(hidden)), None

    last.forward = MethodType(values_only, last)
    sequence = model.get_image_features(pixels).last_hidden_state[0]
    return functional.normalize(sequence[2:], dim=-1)  # after the class and the register token


@torch.inference_mode()
def reference_text(folder: Path, prompts: Sequence[str]) -> Tensor:
    """Run transformers' processor and model, and average the templates of each prompt: (P, D), unit vectors."""
    processor = Tipsv2Processor(
        Tipsv2ImageProcessor.from_pretrained(folder), Tipsv2Tokenizer.from_pretrained(folder)
    )
    model = Tipsv2Model.from_pretrained(folder).eval()
    rows = []
    for prompt in prompts:
        inputs = processor(
            text=[template.format(prompt) for template in TEMPLATES], return_tensors="pt"
        )
        assert inputs["input_ids"].shape == (9, 64)
        mean = model(**inputs).text_embeds.mean(dim=0)
        rows.append(mean / mean.norm())
    return torch.stack(rows)


# -- equal to transformers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "width"),
    [
        # Fewer layers than published, for speed; those of the large model differ between image and text.
        pytest.param(published_tipsv2_config(layers=2), 768, id="b14"),
        pytest.param(published_tipsv2_l14_config(vision_layers=3, text_layers=1), 1024, id="l14"),
    ],
)
def test_embeddings_of_the_published_width_equal_the_reference(
    tmp_path: Path, config: Tipsv2Config, width: int
) -> None:
    write_tipsv2(tmp_path, config, words=WORDS)
    segmenter, pixels = load(tmp_path), prepared(tmp_path, noise(448, 448))
    patches = segmenter.patches(pixels)
    assert patches.shape == (1, 32, 32, width)
    expected = reference_patches(tmp_path, pixels)
    torch.testing.assert_close(patches.flatten(0, 2), expected, rtol=0, atol=1e-4)
    text = segmenter.encode(words("red mug", "duck")).features.rows
    expected_text = reference_text(tmp_path, ["red mug", "duck"])
    torch.testing.assert_close(text, expected_text, rtol=0, atol=1e-4)
    assert (expected[0] - expected[-1]).abs().max() > 0.01
    assert (text[0] - text[1]).abs().max() > 0.01


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="as published"),
        pytest.param({"use_swiglu_ffn": True}, id="gated, as the giant model"),
        pytest.param({"image_size": 84}, id="positions of another size"),
        pytest.param({"qkv_bias": False, "layerscale_value": 0.3}, id="no bias, scaled layers"),
    ],
)
def test_patches_equal_the_reference(tmp_path: Path, changes: dict[str, object]) -> None:
    write_tipsv2(tmp_path, small_tipsv2_config(**changes), SMALL_SIDE)
    pixels = prepared(tmp_path, noise(56, 56))
    patches = load(tmp_path).patches(pixels)
    assert patches.shape == (1, 4, 4, 32)
    expected = reference_patches(tmp_path, pixels)
    torch.testing.assert_close(patches.flatten(0, 2), expected, rtol=0, atol=1e-4)
    assert expected.std(dim=0).mean() > 0.01, "the comparison means nothing when all are alike"


def test_text_equals_the_reference(folder: Path, segmenter: Tipsv2Segmenter) -> None:
    features = segmenter.encode(words(*PROMPTS)).features
    expected = reference_text(folder, (*PROMPTS, *ANYTHING))
    torch.testing.assert_close(features.rows, expected[: len(PROMPTS)], rtol=0, atol=1e-4)
    torch.testing.assert_close(features.anything, expected[len(PROMPTS) :], rtol=0, atol=1e-4)
    assert expected.std(dim=0).mean() > 0.01, "the comparison means nothing when all are alike"


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[1]}x{size[0]}")
def test_labels_equal_those_of_the_reference_pipeline(
    folder: Path, segmenter: Tipsv2Segmenter, size: tuple[int, int]
) -> None:
    photo, vocabulary = noise(*size), words(*PROMPTS)
    cosines = (
        reference_text(folder, (*PROMPTS, *ANYTHING))
        @ reference_patches(folder, prepared(folder, photo)).T
    )
    ours, anything = cosines[: len(PROMPTS)], cosines[len(PROMPTS) :]
    odds = ((ours - anything.amax(dim=0)) / 0.03).view(1, -1, 4, 4)
    probability, best = functional.interpolate(odds, size, mode="bilinear")[0].sigmoid().max(dim=0)
    for threshold in (0.5, 0.2):
        expected = torch.where(probability >= threshold, best + 1, 0).numpy()
        (result,) = segment(segmenter, vocabulary, photo, threshold=threshold)
        assert len(np.unique(expected)) > 1
        # Sums in another order move pixels that lie on the edge of two labels.
        assert (result.label != expected).sum() <= 1 + 1e-3 * expected.size
        labelled = (expected > 0) & (result.label > 0)
        difference = np.abs(result.confidence / 255 - probability.numpy())
        assert difference[labelled].max() < 0.005


# -- the meaning of the confidence ------------------------------------------------------------------------------


def test_the_confidence_is_a_softmax_against_prompts_that_fit_anything(
    segmenter: Tipsv2Segmenter,
) -> None:
    features = segmenter.encode(words("duck")).features
    patches = segmenter.patches(torch.rand(1, 3, SMALL_SIDE, SMALL_SIDE))
    confidence = segmenter.logits(patches, features)[0, 0].sigmoid()
    cosines = patches[0] @ torch.cat([features.rows, features.anything]).T
    best = cosines[..., 1:].amax(dim=-1)
    pair = torch.stack([cosines[..., 0], best], dim=-1) / 0.03
    torch.testing.assert_close(confidence, pair.softmax(dim=-1)[..., 0], rtol=0, atol=1e-4)


def test_a_prompt_that_fits_anything_is_nowhere_above_one_half(segmenter: Tipsv2Segmenter) -> None:
    features = segmenter.encode(words(*ANYTHING)).features
    patches = segmenter.patches(torch.rand(1, 3, SMALL_SIDE, SMALL_SIDE))
    assert segmenter.logits(patches, features).max() < 1e-3


def test_the_temperature_is_read_from_the_weights_or_else_from_the_configuration(
    folder: Path, tmp_path: Path
) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    weights["temperature"] = torch.tensor(0.02)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert odds_of_a_duck(load(tmp_path)) == pytest.approx(
        1.5 * odds_of_a_duck(load(folder)), rel=1e-4
    )
    del weights["temperature"]  # published checkpoints have none
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert odds_of_a_duck(load(tmp_path)) == pytest.approx(odds_of_a_duck(load(folder)), rel=1e-4)


def odds_of_a_duck(segmenter: Tipsv2Segmenter) -> float:
    patches = segmenter.patches(torch.linspace(0, 1, 3 * 56 * 56).view(1, 3, 56, 56))
    return float(segmenter.logits(patches, segmenter.encode(words("duck")).features).mean())


# -- images and prompts are encoded once ---------------------------------------------------------------------------


def test_texts_are_encoded_once_and_images_once(folder: Path) -> None:
    segmenter = load(folder)
    texts: list[int] = []
    images: list[int] = []
    network = segmenter.network
    network.text_model.encoder.register_forward_hook(
        lambda _, args, kwargs, __: texts.append(len(kwargs["inputs_embeds"])), with_kwargs=True
    )
    network.vision_model.encoder.layer[0].register_forward_hook(
        lambda _, args, __: images.append(len(args[0]))
    )
    encoded = segmenter.encode(words("red mug", "duck"))
    assert sum(texts) == (2 + len(ANYTHING)) * len(TEMPLATES)
    segmenter.encode(words("duck", "red mug", "car"))
    assert sum(texts) == (3 + len(ANYTHING)) * len(TEMPLATES)
    batch = Batch((noise(), noise(20, 30)), encoded.vocabulary.thresholds(0.5))
    segmenter.segment(batch, encoded)
    assert images == [2] and sum(texts) == (3 + len(ANYTHING)) * len(TEMPLATES)


def test_the_confidence_of_a_class_is_the_maximum_over_its_prompts(
    segmenter: Tipsv2Segmenter,
) -> None:
    vocabulary = Vocabulary().changed_to([TargetClass("object", ("red mug", "duck"))])
    photo = noise(4, 4, seed=1)  # one pixel for each patch, so that logits are not interpolated
    (together,) = segment(segmenter, vocabulary, photo, threshold=0.01)
    (apart,) = segment(segmenter, words("red mug", "duck"), photo, threshold=0.01)
    assert {1, 2} <= set(np.unique(apart.label))
    assert (
        (together.label > 0) != (apart.label > 0)
    ).sum() <= 1  # a pixel may lie at the threshold
    assert (np.abs(together.confidence.astype(int) - apart.confidence) > 1).sum() <= 1


# -- words -------------------------------------------------------------------------------------------------


def test_two_names_with_the_same_prompt_are_reported(segmenter: Tipsv2Segmenter) -> None:
    vocabulary = Vocabulary().changed_to([TargetClass("mug"), TargetClass("cup", ("Mug",))])
    (warning,) = segmenter.encode(vocabulary).warnings
    assert "'mug' and 'cup'" in warning and "1.00" in warning


def test_a_prompt_with_more_tokens_than_the_model_reads_is_refused(
    segmenter: Tipsv2Segmenter,
) -> None:
    longest = max(len(segmenter._tokenizer.tokens(p.format("mug"))) for p in TEMPLATES)
    fits = "mug " * (64 - longest) + "mug"
    segmenter.encode(words(fits))
    with pytest.raises(VocabularyError, match=r"template of 65 tokens and .* reads at most 64"):
        segmenter.encode(words(f"mug {fits}"))


# -- checkpoints that cannot be used -----------------------------------------------------------------------


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A checkpoint to damage."""
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def change(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_missing_tokenizer_is_a_model_error(copy: Path) -> None:
    (copy / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="has no tokenizer"):
        load(copy)


def test_a_tokenizer_that_needs_other_packages_names_them(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copy / "tokenizer.json").rename(copy / "tokenizer.model")
    monkeypatch.setattr(
        "zs_seg_ros.segmenters.shared.tokenizer_readers._can_import", lambda module: False
    )
    with pytest.raises(ModelError, match=r"pip install sentencepiece protobuf$"):
        load(copy)


def test_a_damaged_sentencepiece_file_is_a_model_error(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copy / "tokenizer.json").rename(copy / "tokenizer.model")
    monkeypatch.setattr(
        "zs_seg_ros.segmenters.shared.tokenizer_readers._can_import", lambda module: True
    )
    with pytest.raises(ModelError, match=r"tokenizer\.model cannot be read \(\w+\); fetch it"):
        load(copy)


def test_a_tokenizer_of_another_model_is_a_model_error(copy: Path) -> None:
    write_tipsv2_tokenizer(copy, 500)
    with pytest.raises(ModelError, match="has 500 tokens and the model only 400"):
        load(copy)


def test_images_that_are_no_whole_patches_are_a_model_error(copy: Path) -> None:
    change(copy / "preprocessor_config.json", size={"height": 56, "width": 60})
    with pytest.raises(ModelError, match="60x56, which are no whole patches of 14x14"):
        load(copy)


def test_images_need_not_be_square(copy: Path) -> None:
    change(copy / "preprocessor_config.json", size={"height": 56, "width": 84})
    segmenter = load(copy)
    pixels = prepared(copy, noise(56, 84))
    patches = segmenter.patches(pixels)
    assert patches.shape == (1, 4, 6, 32)
    torch.testing.assert_close(
        patches.flatten(0, 2), reference_patches(copy, pixels), rtol=0, atol=1e-4
    )


def test_images_are_normalised_only_where_the_preprocessor_file_says_so(copy: Path) -> None:
    values = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}
    before = load(copy).patches(prepared(copy, noise(56, 56)))
    for requested in (False, True):
        change(copy / "preprocessor_config.json", do_normalize=requested, **values)
        segmenter = load(copy)
        mean = [0.5, 0.4, 0.3] if requested else [0, 0, 0]
        assert segmenter._mean.tolist() == pytest.approx(mean)
    assert not torch.allclose(before, segmenter.patches(prepared(copy, noise(56, 56))), atol=0.01)


def test_a_checkpoint_without_preprocessor_file_gets_the_published_values(copy: Path) -> None:
    (copy / "preprocessor_config.json").unlink()
    (result,) = segment(load(copy), words("duck"), noise())
    assert result.label.shape == (48, 80)
