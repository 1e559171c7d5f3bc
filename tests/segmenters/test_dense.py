# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Dense embedding models on small checkpoints of random weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from inputs import assert_same_segmentation, noise, segment, words
from numpy.typing import NDArray
from safetensors.torch import save_file

from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.base import Segmenter, shared_space_of
from zs_seg_ros.segmenters.dense.config import DenseConfig
from zs_seg_ros.segmenters.dense.examples import KnownShapes, example_logits, shape_words
from zs_seg_ros.segmenters.dense.image_encoder import fold_batch_norm
from zs_seg_ros.segmenters.dense.network import DenseNetwork
from zs_seg_ros.segmenters.dense.working_size import working_size
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.segmenters.shared.checkpoint import read_config
from zs_seg_ros.vocabulary.vocabulary import Exemplar, TargetClass, Vocabulary

CPU = LoadOptions(device="cpu")


WORDS = ("a", "red", "blue", "mug", "ball")


def small_network() -> DenseNetwork:
    return DenseNetwork(DenseConfig(WORDS, widths=(8, 8, 8, 8), embedding_dim=8, colour_dim=3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a checkpoint with random weights that labels most pixels."""
    path = tmp_path_factory.mktemp("dense")
    torch.manual_seed(1)
    network = small_network()
    with torch.no_grad():
        network.bias.copy_(torch.tensor([1.0, 1.0]))
    network.config.write(path / "config.json")
    save_file(
        {k: v.contiguous() for k, v in network.state_dict().items()}, path / "model.safetensors"
    )
    return path


@pytest.fixture(scope="module")
def segmenter(folder: Path) -> Segmenter:
    return load_segmenter(str(folder), CPU)


@pytest.mark.parametrize("size", [(240, 320), (1, 1), (480, 640), (37, 500), (500, 37), (2, 3000)])
def test_an_image_of_any_size_gives_a_label_of_that_size(
    segmenter: Segmenter, size: tuple[int, int]
) -> None:
    (result,) = segment(segmenter, words("red mug", "ball"), noise(*size))
    assert result.label.shape == size
    assert set(np.unique(result.label)) <= {0, 1, 2}
    assert ((result.confidence == 0) == (result.label == 0)).all()


def test_the_working_size_keeps_proportions_and_area() -> None:
    assert working_size(240, 320, 76800) == (240, 320)
    assert working_size(720, 1280, 76800) == (208, 368)
    height, width = working_size(1, 16384, 76800)
    assert height * width <= 2 * 76800


def test_a_batch_equals_its_single_images(segmenter: Segmenter) -> None:
    vocabulary = words("red mug", "blue ball")
    images = [noise(64, 64, 1), noise(48, 96, 2), noise(64, 64, 3)]
    together = segment(segmenter, vocabulary, *images)
    for result, image in zip(together, images, strict=True):
        (alone,) = segment(segmenter, vocabulary, image)
        assert_same_segmentation(result, alone)


def test_a_class_does_not_depend_on_the_order_of_the_others(segmenter: Segmenter) -> None:
    image = noise(60, 80)
    (first,) = segment(segmenter, words("red mug", "blue ball"), image)
    (second,) = segment(segmenter, words("blue ball", "red mug"), image)
    swapped = np.array([0, 2, 1], np.uint8)[second.label]
    assert (swapped == first.label).mean() > 0.99


def test_an_empty_vocabulary_labels_nothing(segmenter: Segmenter) -> None:
    (result,) = segment(segmenter, words(), noise(20, 30))
    assert not result.label.any()


def test_unknown_words_are_accepted_with_a_warning_that_names_them(segmenter: Segmenter) -> None:
    encoded = segmenter.encode(words("red helicopter", "blue ball"))
    (warning,) = encoded.warnings
    assert "does not know 'helicopter'" in warning


def test_a_prompt_with_more_words_than_the_model_reads_gets_a_warning(segmenter: Segmenter) -> None:
    encoded = segmenter.encode(words("a " * 20 + "mug"))
    assert any("only the first 12 words" in warning for warning in encoded.warnings)


def test_a_prompt_without_words_is_accepted_with_a_warning(segmenter: Segmenter) -> None:
    assert segmenter.encode(words("???")).warnings


def test_the_same_words_twice_get_a_warning(segmenter: Segmenter) -> None:
    encoded = segmenter.encode(words("Red mug!", "red mug"))
    assert any("nearly the same" in warning for warning in encoded.warnings)


def test_the_vector_of_an_example_is_the_mean_of_its_marked_features(
    segmenter: Segmenter,
) -> None:
    """The logits of pixels are computed in numpy, by cosines of shape and of colour."""
    image, mask = noise(64, 64, 1), np.zeros((64, 64), np.bool_)
    mask[8:24, 30:50] = True
    vocabulary = Vocabulary().changed_to([TargetClass("mug", exemplars=(Exemplar(image, mask),))])
    encoded = segmenter.encode(vocabulary)
    assert encoded.features.is_exemplar == (True,)
    grid = shared_space_of(segmenter).embed_image(image)
    rows, columns = ((2 * np.arange(64) + 1) * cells // 128 for cells in grid.values.shape[:2])
    mean = grid.values[np.ix_(rows, columns)][mask].mean(axis=0, dtype=np.float64)
    vector = encoded.features.rows[0, :8].numpy()
    assert vector == pytest.approx(mean / np.linalg.norm(mean), abs=1e-4)

    def cosine(part: slice) -> NDArray[np.float64]:
        lengths = np.linalg.norm(grid.values[..., part], axis=-1)
        return grid.values[..., part] @ vector[part] / lengths / np.linalg.norm(vector[part])

    pixels = torch.from_numpy(grid.values).permute(2, 0, 1)
    config, none = small_network().config, torch.zeros(0, *pixels.shape[1:])
    are_other = encoded.features.are_other
    assert are_other.shape == (1, 0)  # the configuration does not say which words are colours
    [logits] = example_logits(pixels, encoded.features.rows[:, :8], config, none, are_other)
    shape, colour = cosine(slice(0, 5)), cosine(slice(5, 8))
    expected = np.minimum(10 * (shape - 0.5), 100 * (colour - 0.96))
    assert logits.numpy() == pytest.approx(expected, abs=1e-4)


def test_a_known_shape_that_does_not_fit_the_example_competes_with_it() -> None:
    """Words for colours and without meaning are no shapes. The probabilities are computed pixel by pixel."""
    torch.manual_seed(2)
    config = DenseConfig(
        ("red", "mug", "the", "duck", "toy"),
        widths=(8, 8, 8, 8),
        embedding_dim=8,
        colour_dim=3,
        silent_words=("the",),
        ignored_words=("toy",),
        leading_words=("red",),
    )
    assert shape_words(config) == ("mug", "duck")
    network = DenseNetwork(config).eval()
    with torch.no_grad():
        network.text.words.weight.mul_(40)
        network.bias.zero_()
    known, pixels = KnownShapes(network), torch.randn(8, 6, 9) * 3
    with torch.inference_mode():
        rows = network.text(network.tokenize(("mug", "duck")))
        logits = known.logits(pixels)
        expected = torch.einsum("kd,dhw->khw", rows[:, :5], pixels[:5]) + rows[:, 8, None, None]
        torch.testing.assert_close(logits, expected)
        mask = np.zeros((12, 18), np.bool_)
        mask[2:8, 4:16] = True
        inside = torch.sigmoid(expected[:, 1:4, 2:8]).mean(dim=(1, 2))
        are_other = known.are_other(logits, Exemplar(np.zeros((12, 18, 3), np.uint8), mask))
        assert are_other.tolist() == [(inside < 0.01).tolist()]
        whole = known.are_other(logits, Exemplar(np.zeros((12, 18, 3), np.uint8)))
        assert whole.tolist() == [(expected.sigmoid().mean(dim=(1, 2)) < 0.01).tolist()]
        vectors = torch.randn(3, 8)
        others = torch.tensor([[False, False], [True, False], [True, True]])
        alone = example_logits(pixels, vectors, config, logits[:0], others[:, :0])
        compared = example_logits(pixels, vectors, config, logits, others)
    torch.testing.assert_close(compared[0], alone[0])
    torch.testing.assert_close(compared[1], torch.minimum(alone[1], -logits[0]))
    torch.testing.assert_close(compared[2], torch.minimum(alone[2], -logits.amax(dim=0)))


def test_folding_the_batch_normalisation_does_not_change_the_embeddings(
    folder: Path, segmenter: Segmenter
) -> None:
    from safetensors.torch import load_file

    network = DenseNetwork(DenseConfig.of(read_config("dense", folder)))
    network.load_state_dict(load_file(folder / "model.safetensors"))
    network.eval()
    images = torch.rand(1, 3, 32, 48)
    with torch.inference_mode():
        torch.testing.assert_close(
            segmenter._image(images), network.image(images), rtol=1e-4, atol=1e-5
        )


def test_the_shape_embedding_does_not_depend_on_the_colour() -> None:
    image = small_network().eval().image
    images = torch.rand(1, 3, 32, 48) / 2
    # Less red, and more green by the amount that keeps the brightness.
    weights = image.brightness.flatten()
    tinted = images.clone()
    tinted[:, 0] -= 0.2
    tinted[:, 1] += 0.2 * weights[0] / weights[1]
    with torch.inference_mode():
        before, after = image(images), image(tinted)
    shape, colour = slice(0, 5), slice(5, 8)
    torch.testing.assert_close(before[:, shape], after[:, shape], rtol=1e-4, atol=1e-5)
    assert (before[:, colour] - after[:, colour]).abs().max() > 0.01


def test_a_text_embedding_is_the_sum_of_its_words_weighted_by_the_word_that_follows() -> None:
    network = small_network()
    with torch.inference_mode():
        red_mug, red_ball, mug, ball = (
            network.text(network.tokenize([prompt]))[0]
            for prompt in ("red mug", "red ball", "mug", "ball")
        )
        red = network.text.words(network.tokenize(["red"]))[0, 0]
    for rest in (red_mug - mug, red_ball - ball):
        assert torch.nn.functional.cosine_similarity(rest, red, dim=0) > 0.9999
        assert 0 < rest.norm() < red.norm()


def test_the_logit_of_a_prompt_is_at_most_that_of_its_shape_and_of_its_colour_alone() -> None:
    network = small_network()
    pixels, prompt = 3 * torch.randn(1, 8, 12, 12), torch.randn(1, 10)
    shape_alone, colour_alone = prompt.clone(), prompt.clone()
    shape_alone[:, 5:8], shape_alone[:, 9] = 0, 100
    colour_alone[:, 0:5], colour_alone[:, 8] = 0, 100
    with torch.inference_mode():
        both, shape, colour = (
            network.logits(pixels, p) for p in (prompt, shape_alone, colour_alone)
        )
    lower = torch.minimum(shape, colour)
    assert (both <= lower + 1e-4).all()
    assert (both >= lower - np.log(2) - 1e-4).all()
    assert (shape < colour).any() and (colour < shape).any()


def test_a_text_embedding_does_not_depend_on_longer_prompts_in_its_batch() -> None:
    network = small_network()
    with torch.inference_mode():
        alone = network.text(network.tokenize(["red mug"]))
        in_batch = network.text(network.tokenize(["red mug", "a red blue ball"]))
    torch.testing.assert_close(alone[0], in_batch[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("damage", ["truncated", "missing", "other network"])
def test_a_damaged_checkpoint_is_one_sentence(folder: Path, tmp_path: Path, damage: str) -> None:
    DenseConfig.of(read_config("dense", folder)).write(tmp_path / "config.json")
    weights = (folder / "model.safetensors").read_bytes()
    if damage == "truncated":
        (tmp_path / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    elif damage == "other network":
        save_file({"nothing": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_segmenter(str(tmp_path), CPU)


@pytest.mark.gpu
def test_gpu_and_cpu_agree(folder: Path, segmenter: Segmenter) -> None:
    on_gpu = load_segmenter(str(folder), LoadOptions(device="cuda", precision="fp32"))
    vocabulary, image = words("red mug", "blue ball"), noise(240, 320)
    (cpu,), (gpu,) = (segment(each, vocabulary, image) for each in (segmenter, on_gpu))
    assert (cpu.label == gpu.label).mean() > 0.99


def test_an_encoder_without_its_normalisations_embeds_alike() -> None:
    torch.manual_seed(4)
    config = DenseConfig(
        WORDS,
        widths=(8, 8, 8, 8),
        embedding_dim=8,
        colour_dim=3,
        backbone_widths=(8, 4, 4, 4, 8, 8),
    )
    encoder = DenseNetwork(config).image
    for _ in range(3):  # running means and variances that are neither 0 nor 1
        encoder(torch.rand(2, 3, 30, 42))
    images = torch.rand(1, 3, 31, 43)
    with torch.inference_mode():
        expected = encoder.eval()(images)
        fold_batch_norm(encoder)
        assert torch.allclose(encoder(images), expected, atol=1e-4)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in encoder.modules())
