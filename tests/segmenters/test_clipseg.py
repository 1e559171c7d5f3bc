# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""CLIPSeg on random-weight checkpoints in the published format."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from calls import calls_of
from inputs import assert_same_segmentation, noise, segment, words
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional
from transformers import CLIPSegForImageSegmentation, CLIPSegProcessor, CLIPTokenizer
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from zs_seg_ros.errors import ModelError, ModelNotFoundError, VocabularyError
from zs_seg_ros.segmenters.clipseg.segmenter import ClipSegSegmenter
from zs_seg_ros.segmenters.clipseg.visual_prompt import visual_prompt
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.testing.clipseg import (
    published_clipseg_config,
    small_clipseg_config,
    write_clipseg,
    write_tokenizer,
)
from zs_seg_ros.types import Batch
from zs_seg_ros.vocabulary.vocabulary import Exemplar, TargetClass, Vocabulary

SMALL_SIDE = 64
PROMPTS = (
    "red mug",
    "blue car",
    "duck",
    "a long green object",
    "lego",
    "ball",
    "shoe",
    "cup of tea",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clipseg")
    write_clipseg(folder, small_clipseg_config(), SMALL_SIDE, words=("red", "mug", "blue", "car"))
    return folder


@pytest.fixture(scope="module")
def segmenter(folder: Path) -> ClipSegSegmenter:
    return load(folder)


def load(folder: Path, **options: str) -> ClipSegSegmenter:
    segmenter = load_segmenter(str(folder), LoadOptions(device="cpu", **options))
    assert isinstance(segmenter, ClipSegSegmenter)
    return segmenter


def reference(folder: Path) -> tuple[CLIPSegForImageSegmentation, CLIPSegProcessor]:
    """Return transformers' own model and processor of the same checkpoint."""
    processor = CLIPSegProcessor(
        ViTImageProcessorPil.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder)
    )
    return CLIPSegForImageSegmentation.from_pretrained(folder).eval(), processor


def pixels(side: int = SMALL_SIDE, count: int = 1, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


# -- equal to transformers ---------------------------------------------------------------------------------


def test_logits_of_the_published_shape_equal_the_reference(tmp_path: Path) -> None:
    write_clipseg(tmp_path, published_clipseg_config(), 352, words=("red", "mug", "blue", "car"))
    model, processor = reference(tmp_path)
    prepared = pixels(352)
    segmenter = load(tmp_path)
    for prompts in (PROMPTS, PROMPTS[:1]):
        tokens = processor.tokenizer(list(prompts), padding=True, return_tensors="pt")
        with torch.inference_mode():
            expected = model(
                pixel_values=prepared.expand(len(prompts), -1, -1, -1), **tokens
            ).logits
        features = segmenter.encode(words(*prompts)).features.conditional
        logits = segmenter.logits(prepared, features)[0]
        assert logits.shape == (len(prompts), 352, 352)
        assert expected.std() > 1, "the comparison means nothing when all logits are alike"
        torch.testing.assert_close(logits, expected.view_as(logits), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"use_complex_transposed_convolution": False}, id="plain head"),
        pytest.param({"conditional_layer": 1}, id="condition in the middle"),
        pytest.param({"conditional_layer": 2}, id="condition at the end"),
        pytest.param({"extract_layers": [0, 5]}, id="two layers, one of them the last"),
    ],
)
def test_logits_of_other_configurations_equal_the_reference(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    write_clipseg(tmp_path, small_clipseg_config(**changes), SMALL_SIDE)
    segmenter, (model, _) = load(tmp_path), reference(tmp_path)
    features = segmenter.encode(words("duck", "car", "cup")).features.conditional
    with torch.inference_mode():
        expected = model(
            pixel_values=pixels().expand(3, -1, -1, -1), conditional_embeddings=features
        ).logits
    torch.testing.assert_close(segmenter.logits(pixels(), features)[0], expected, rtol=0, atol=1e-4)


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize(
    ("prompts", "in_threads"), [(1, 0), (2, 0), (3, 3), (8, 6)], ids=lambda number: str(number)
)
def test_cores_decode_a_prompt_each_and_give_the_logits_of_one_core(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    prompts: int,
    in_threads: int,
) -> None:
    network = load(folder).network
    image = network.encode_images(pixels())[0]
    features = torch.randn(prompts, 24, generator=torch.Generator().manual_seed(1))
    threads: list[str] = []
    head = network._head.__call__

    def recorded(tokens: Tensor, single: bool) -> Tensor:
        threads.append(threading.current_thread().name)
        return head(tokens, single)

    monkeypatch.setattr(network, "_head", recorded)
    with torch.inference_mode():
        logits = network.decode(image, features)
        assert sum(name.startswith("one_core_threads") for name in threads) == in_threads
        assert len(threads) == prompts
        torch.set_num_threads(1)
        torch.testing.assert_close(logits, network.decode(image, features), rtol=0, atol=1e-5)
    assert "one_core_threads" not in "".join(threads[prompts:])


@pytest.mark.parametrize(
    ("size", "equal"),
    [
        pytest.param((40, 30), 0.99, id="enlarged"),
        # torch and Pillow round differently when they average bytes: some values are one level apart.
        pytest.param((111, 73), 0.95, id="reduced"),
    ],
)
def test_labels_equal_those_of_the_reference_pipeline(
    folder: Path, segmenter: ClipSegSegmenter, size: tuple[int, int], equal: float
) -> None:
    model, processor = reference(folder)
    vocabulary, photo = words("red mug", "duck"), noise(*size)
    inputs = processor(
        text=list(vocabulary.names), images=[photo, photo], padding=True, return_tensors="pt"
    )
    with torch.inference_mode():
        logits = model(**inputs).logits[None]
    confidence, best = functional.interpolate(logits, size, mode="bilinear")[0].sigmoid().max(dim=0)
    expected = torch.where(confidence > 0.5, best + 1, 0).numpy()
    (result,) = segment(segmenter, vocabulary, photo)
    assert len(np.unique(expected)) == 3
    assert (result.label == expected).mean() > equal


# -- images and prompts are encoded once ---------------------------------------------------------------------------


def test_the_image_is_encoded_once_and_no_further_than_needed(
    segmenter: ClipSegSegmenter,
) -> None:
    vision = segmenter.network.model.clip.vision_model
    last = max(segmenter.network.model.config.extract_layers)
    encoded = segmenter.encode(words(*PROMPTS))
    batch = Batch((noise(),), encoded.vocabulary.thresholds(0.5))
    counts = []
    for layer in vision.encoder.layers:
        with calls_of(layer.mlp) as calls:
            segmenter.segment(batch, encoded)
        counts.append(len(calls))
    assert counts == [1] * (last + 1) + [0] * (len(counts) - last - 1)
    assert 0 in counts


def test_prompts_are_encoded_once(folder: Path) -> None:
    segmenter = load(folder)
    with calls_of(segmenter.network.model.clip.text_model) as calls:
        encoded = segmenter.encode(words(*PROMPTS))
        assert len(calls) == 1
        batch = Batch((noise(), noise()), encoded.vocabulary.thresholds(0.5))
        for _ in range(3):
            segmenter.segment(batch, encoded)
        assert len(calls) == 1
        again = segmenter.encode(words(*reversed(PROMPTS)))
        assert len(calls) == 1
        assert torch.equal(again.features.conditional, encoded.features.conditional.flip(0))
        segmenter.encode(words(*PROMPTS, "something new"))
        assert len(calls) == 2


# -- classes ---------------------------------------------------------------------------------------------


def test_a_class_does_not_depend_on_order_or_presence_of_others(
    segmenter: ClipSegSegmenter,
) -> None:
    def logits(*names: str) -> dict[str, Tensor]:
        features = segmenter.encode(words(*names)).features.conditional
        return dict(zip(names, segmenter.logits(pixels(), features)[0], strict=True))

    together, reversed_order, alone = logits(*PROMPTS), logits(*PROMPTS[::-1]), logits(PROMPTS[1])
    for name in PROMPTS:
        torch.testing.assert_close(reversed_order[name], together[name], rtol=0, atol=1e-4)
    torch.testing.assert_close(alone[PROMPTS[1]], together[PROMPTS[1]], rtol=0, atol=1e-4)
    assert not torch.allclose(together[PROMPTS[0]], together[PROMPTS[1]], atol=1e-2)


def test_the_confidence_of_a_class_is_the_maximum_over_its_prompts(
    segmenter: ClipSegSegmenter,
) -> None:
    several = Vocabulary().changed_to([TargetClass("object", ("duck", "red mug", "blue car"))])
    photo = noise(
        SMALL_SIDE, SMALL_SIDE
    )  # the model's own size, so that logits are not interpolated
    (result,) = segment(segmenter, several, photo)
    single = [segment(segmenter, words(p), photo)[0] for p in several.classes[0].prompts]
    assert len({s.confidence.tobytes() for s in single}) == 3
    best = np.maximum.reduce([s.confidence for s in single])
    # A pixel at the threshold may be labelled by one of the two computations only.
    assert (np.abs(result.confidence.astype(int) - best) <= 1).mean() > 0.99


def test_prompts_and_exemplars_of_a_class_are_rows_of_its_features(
    segmenter: ClipSegSegmenter,
) -> None:
    target = TargetClass("object", ("duck",), exemplars=(Exemplar(noise(seed=1)),))
    encoded = segmenter.encode(Vocabulary().changed_to([TargetClass("red mug"), target]))
    assert encoded.features.class_of_row == (0, 1, 1)
    assert encoded.features.conditional.shape == (3, 24)


def test_a_vocabulary_without_classes_labels_nothing_and_runs_no_model(
    segmenter: ClipSegSegmenter,
) -> None:
    with calls_of(segmenter.network.model.clip.vision_model.encoder.layers[0]) as calls:
        first, second = segment(segmenter, words(), noise(7, 9), noise(20, 5))
    assert not calls
    assert first.label.shape == (7, 9) and second.label.shape == (20, 5)
    assert not first.label.any() and not first.confidence.any()


def test_two_names_with_the_same_prompt_are_reported(segmenter: ClipSegSegmenter) -> None:
    vocabulary = Vocabulary().changed_to([TargetClass("mug"), TargetClass("cup", ("mug",))])
    (warning,) = segmenter.encode(vocabulary).warnings
    assert "'mug' and 'cup'" in warning and "1.00" in warning


def test_a_prompt_with_more_tokens_than_the_model_reads_is_refused(
    segmenter: ClipSegSegmenter,
) -> None:
    segmenter.encode(words("x " * 74 + "x"))  # 75 tokens, start and end: 77
    with pytest.raises(VocabularyError, match=r"has 76 tokens .* reads at most 75"):
        segmenter.encode(words("x " * 75 + "x"))


# -- images ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (64, 64), (97, 41), (240, 320)])
def test_labels_have_the_size_of_the_image(
    segmenter: ClipSegSegmenter, size: tuple[int, int]
) -> None:
    vocabulary = words(*PROMPTS)
    (result,) = segment(segmenter, vocabulary, noise(*size))
    assert result.label.shape == result.confidence.shape == size
    assert result.label.dtype == result.confidence.dtype == np.uint8
    assert set(np.unique(result.label)) <= {0, *vocabulary.ids}
    assert np.array_equal(result.confidence == 0, result.label == 0)


def test_a_class_below_its_threshold_is_not_labelled(segmenter: ClipSegSegmenter) -> None:
    (low,) = segment(segmenter, words("duck"), noise(), threshold=0.05)
    (middle,) = segment(segmenter, words("duck"), noise(), threshold=0.5)
    (never,) = segment(segmenter, words("duck"), noise(), threshold=1.0)
    assert (low.label > 0).sum() > (middle.label > 0).sum() > 0
    assert middle.confidence[middle.label > 0].min() >= 127
    assert not never.label.any()


def test_ids_above_254_make_16_bit_labels(segmenter: ClipSegSegmenter) -> None:
    earlier = words(*(f"object {i}" for i in range(260)))
    vocabulary = earlier.changed_to([TargetClass("duck")])
    (result,) = segment(segmenter, vocabulary, noise())
    assert result.label.dtype == np.uint16
    assert set(np.unique(result.label)) == {0, vocabulary.ids[0]}


def test_a_batch_equals_its_single_images(segmenter: ClipSegSegmenter) -> None:
    images = [noise(30, 50, seed=1), noise(64, 64, seed=2), noise(90, 20, seed=3)]
    together = segment(segmenter, words(*PROMPTS), *images)
    for image, result in zip(images, together, strict=True):
        (alone,) = segment(segmenter, words(*PROMPTS), image)
        assert_same_segmentation(result, alone)


def test_a_bgr_view_gives_the_labels_of_its_rgb_copy(segmenter: ClipSegSegmenter) -> None:
    bgr = noise(50, 70)
    view, copy = bgr[..., ::-1], bgr[..., ::-1].copy()
    assert view.strides[2] < 0
    (of_view,), (of_copy,), (of_bgr,) = (
        segment(segmenter, words(*PROMPTS), p) for p in (view, copy, bgr)
    )
    assert_same_segmentation(of_view, of_copy)
    assert (of_view.label == of_bgr.label).mean() < 0.95


def test_the_same_image_gives_the_same_segmentation_twice(segmenter: ClipSegSegmenter) -> None:
    (first,), (second,) = (segment(segmenter, words(*PROMPTS), noise()) for _ in range(2))
    assert np.array_equal(first.label, second.label)
    assert np.array_equal(first.confidence, second.confidence)


# -- exemplars ---------------------------------------------------------------------------------------------


def test_an_exemplar_without_mask_equals_the_reference(
    folder: Path, segmenter: ClipSegSegmenter
) -> None:
    model, processor = reference(folder)
    shown, photo = noise(60, 40, seed=5), noise(seed=6)
    inputs = processor(images=[photo], visual_prompt=[shown], return_tensors="pt")
    with torch.inference_mode():
        expected = model(**inputs).logits
    vocabulary = Vocabulary().changed_to([TargetClass("object", exemplars=(Exemplar(shown),))])
    logits = segmenter.logits(
        inputs["pixel_values"], segmenter.encode(vocabulary).features.conditional
    )
    torch.testing.assert_close(logits[0, 0], expected.view_as(logits[0, 0]), rtol=0, atol=1e-4)


def test_the_mask_of_an_exemplar_changes_its_embedding(segmenter: ClipSegSegmenter) -> None:
    shown = noise(60, 60)
    left, right = np.zeros((60, 60), bool), np.zeros((60, 60), bool)
    left[10:30, 5:20], right[20:50, 40:55] = True, True
    rows = [
        segmenter.encode(
            Vocabulary().changed_to([TargetClass("object", exemplars=(Exemplar(shown, mask),))])
        ).features.conditional
        for mask in (left, right, None)
    ]
    assert not torch.allclose(rows[0], rows[1], atol=1e-3)
    assert not torch.allclose(rows[0], rows[2], atol=1e-3)


def test_a_visual_prompt_is_cropped_to_the_object_on_a_faded_background() -> None:
    shown = np.full((100, 200, 3), 250, np.uint8)
    mask = np.zeros((100, 200), bool)
    mask[40:60, 100:140] = True
    prompt = visual_prompt(shown, mask, mean=(0.5, 0.25, 0.0))
    # The width is 40 and a tenth on both sides; the height, 20 and a tenth on both sides, is padded to a square.
    assert prompt.shape == (48, 48, 3)
    assert (prompt[14:34, 4:44] == 250).all()
    faded = [round(0.9 * colour + 0.1 * 250) for colour in (127.5, 63.75, 0)]
    assert (np.abs(prompt[24, 1].astype(int) - faded) <= 1).all()
    assert (np.abs(prompt[2, 24].astype(int) - (127.5, 63.75, 0)) <= 1).all()


def test_the_background_of_a_visual_prompt_is_blurred() -> None:
    stripes = np.zeros((352, 352, 3), np.uint8)
    stripes[:, ::2] = 255
    mask = np.zeros((352, 352), bool)
    mask[100:110, 100:110], mask[200:210, 200:210] = True, True
    prompt = visual_prompt(stripes, mask, mean=(0.0, 0.0, 0.0))
    between, inside = prompt[50:70, 50:70], prompt[11:21, 11:21]
    assert np.ptp(between) <= 1 and abs(float(between.mean()) - 12.75) < 1
    assert np.ptp(inside) == 255


# -- precision and devices ---------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_is_close_to_full(
    folder: Path, segmenter: ClipSegSegmenter, precision: str
) -> None:
    half = load(folder, precision=precision)
    (expected,) = segment(segmenter, words(*PROMPTS), noise(64, 64))
    (result,) = segment(half, words(*PROMPTS), noise(64, 64))
    assert (result.label == expected.label).mean() > 0.95
    difference = result.confidence.astype(int) - expected.confidence
    assert np.abs(difference[result.label == expected.label]).mean() < 4


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_a_gpu_agrees_with_the_cpu(
    folder: Path, segmenter: ClipSegSegmenter, precision: str
) -> None:
    on_gpu = load_segmenter(str(folder), LoadOptions(device="cuda", precision=precision))
    vocabulary, images = words(*PROMPTS), (noise(90, 120, seed=1), noise(64, 64, seed=2))
    encoded = on_gpu.encode(vocabulary)
    results = on_gpu.segment(Batch(images, vocabulary.thresholds(0.5)), encoded)
    for result, expected in zip(results, segment(segmenter, vocabulary, *images), strict=True):
        assert (result.label == expected.label).mean() > 0.95
    on_gpu.close()


# -- checkpoints that cannot be used -----------------------------------------------------------------------


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A checkpoint to damage."""
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_damaged_weights_file_is_a_model_error(copy: Path) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"cannot be loaded \(SafetensorError.*fetch it again"):
        load(copy)


def test_pickled_weights_are_not_loaded(copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    torch.save(weights, copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"no file named model\.safetensors"):
        load(copy)


def test_missing_weights_are_not_replaced_by_random_ones(copy: Path) -> None:
    path = copy / "model.safetensors"
    weights = {
        name: w for name, w in load_file(path).items() if not name.startswith("decoder.film")
    }
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(
        ModelError, match=r"4 weights are missing, decoder\.film_add\.bias among them"
    ):
        load(copy)


def test_weights_of_another_shape_are_a_model_error(copy: Path) -> None:
    change_config(copy, reduce_dim=32)
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reduce_dim": "many"}, "cannot be loaded"),
        ({"extract_layers": [1, 2, 6]}, r"extract_layers \[1, 2, 6\] of 6"),
        ({"conditional_layer": 3}, "conditional_layer 3 of 3"),
    ],
)
def test_a_wrong_configuration_is_a_model_error(
    copy: Path, changes: dict[str, object], message: str
) -> None:
    change_config(copy, **changes)
    with pytest.raises(ModelError, match=message):
        load(copy)


def test_an_unknown_kind_of_model_names_those_that_are_known(copy: Path) -> None:
    change_config(copy, model_type="yolo")
    with pytest.raises(ModelError, match=r"kind 'yolo'.*known are: .*clipseg"):
        load(copy)


def test_a_model_that_is_not_on_disk_names_the_command_that_fetches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelNotFoundError, match="zs-seg fetch CIDAS/clipseg-rd64-refined"):
        load_segmenter("CIDAS/clipseg-rd64-refined")


def test_a_missing_tokenizer_is_a_model_error(copy: Path) -> None:
    (copy / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="has no tokenizer"):
        load(copy)


def test_a_damaged_tokenizer_is_a_model_error(copy: Path) -> None:
    (copy / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(copy)


def test_a_tokenizer_of_another_model_is_a_model_error(copy: Path) -> None:
    write_tokenizer(copy, 700)
    with pytest.raises(ModelError, match="has 700 tokens and the model only 600"):
        load(copy)
    write_tokenizer(copy, 550)
    with pytest.raises(ModelError, match="ends a prompt with token 549 and the model expects 599"):
        load(copy)


def test_a_checkpoint_without_preprocessor_file_gets_the_published_values(copy: Path) -> None:
    (copy / "preprocessor_config.json").unlink()
    (result,) = segment(load(copy), words("duck"), noise())
    assert result.label.shape == (48, 80)


def test_a_preprocessor_that_is_not_square_is_a_model_error(copy: Path) -> None:
    path = copy / "preprocessor_config.json"
    path.write_text(
        json.dumps({**json.loads(path.read_text()), "size": {"height": 64, "width": 96}})
    )
    with pytest.raises(ModelError, match="96x64"):
        load(copy)


@pytest.mark.parametrize("side", [-1, 0, 4097, 10**6])
def test_a_checkpoint_that_takes_images_of_absurd_sizes_is_refused(copy: Path, side: int) -> None:
    path = copy / "preprocessor_config.json"
    path.write_text(
        json.dumps({**json.loads(path.read_text()), "size": {"height": side, "width": side}})
    )
    with pytest.raises(ModelError, match=f"sides of {side} and {side} pixels"):
        load(copy)
