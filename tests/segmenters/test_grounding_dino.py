# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Grounding DINO and MM Grounding DINO on random-weight checkpoints, written and loaded the way real ones are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from calls import calls_of
from inputs import detect, noise
from matching import check_same_rows, distance_to_nearest, threshold_between
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision_stand_in import torchvision_stand_in
from transformers import AutoModelForZeroShotObjectDetection, BertTokenizer, GroundingDinoProcessor
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import (
    GroundingDinoImageProcessorPil,
)

from zs_seg_ros.errors import ModelError, VocabularyError
from zs_seg_ros.segmenters.boxes_then_masks.detr_images import DetrFormat, load_detr_format
from zs_seg_ros.segmenters.boxes_then_masks.grounding_dino import GroundingDinoDetector
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.testing.grounding_dino import (
    published_grounding_dino_config,
    small_grounding_dino_config,
    write_bert_tokenizer,
    write_grounding_dino,
)

KINDS = ("grounding-dino", "mm-grounding-dino")
WORDS = ("red", "blue", "mug", "car", "duck", "ball")
PROMPTS = ("red mug", "blue car", "duck", "carpet")
EDGES = (64, 96)


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    write_grounding_dino(folder, small_grounding_dino_config(request.param), EDGES, WORDS)
    return folder


@pytest.fixture(scope="module")
def detector(folder: Path) -> GroundingDinoDetector:
    return load(folder)


def load(folder: Path, **options: str) -> GroundingDinoDetector:
    return GroundingDinoDetector(str(folder), folder, LoadOptions(device="cpu", **options))


class Reference:
    """transformers' own processor, model and post-processing of the same checkpoint.

    Its post-processing counts the delimiters between phrases as well. A trained model scores them low; random weights
    do not, and so they are masked before the post-processing.
    """

    def __init__(self, folder: Path) -> None:
        with torchvision_stand_in():
            from transformers.models.grounding_dino.image_processing_grounding_dino import (
                GroundingDinoImageProcessor,
            )
        self.processor = GroundingDinoProcessor(
            GroundingDinoImageProcessor.from_pretrained(folder),
            BertTokenizer.from_pretrained(folder),
        )
        self.model = AutoModelForZeroShotObjectDetection.from_pretrained(folder).eval()

    def detect(
        self, photo: NDArray[np.uint8], prompts: tuple[str, ...], threshold: float
    ) -> tuple[Tensor, Tensor]:
        """Corners (N, 4) and scores (N,), in the order of the model's queries."""
        image = Image.fromarray(photo)
        with torchvision_stand_in():
            inputs = self.processor(images=[image], text=[list(prompts)], return_tensors="pt")
        with torch.inference_mode():
            outputs = self.model(**inputs)
            delimiters = torch.isin(inputs["input_ids"][0], self.model.model.special_tokens)
            outputs.logits[..., delimiters.nonzero()[:, 0]] = -torch.inf
        [result] = self.processor.post_process_grounded_object_detection(
            outputs, inputs["input_ids"], threshold, threshold, target_sizes=[photo.shape[:2]]
        )
        return result["boxes"], result["scores"]


@pytest.fixture(scope="module")
def reference(folder: Path) -> Reference:
    return Reference(folder)


def rows(corners: Tensor, scores: Tensor, longest: int) -> Tensor:
    """(N, 5): corners as shares of the longer side of the image, and scores."""
    return torch.cat([corners / longest, scores[:, None]], dim=1)


# -- equal to transformers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "edges", "most"),
    [
        pytest.param((40, 50), EDGES, 1e-6, id="enlarged"),
        pytest.param((40, 200), EDGES, 0.018, id="limited by the longest edge"),
        pytest.param((200, 130), EDGES, 0.018, id="reduced"),
        pytest.param((48, 64), (800, 1333), 0.018, id="published size"),
        pytest.param((64, 80), EDGES, 1e-6, id="unchanged"),
        pytest.param((1, 50), EDGES, 0.018, id="one pixel high"),
    ],
)
def test_images_equal_those_of_the_processor(
    tmp_path: Path, size: tuple[int, int], edges: tuple[int, int], most: float
) -> None:
    """Resized and normalised. 0.018 is one of 255 levels, which torch and Pillow may round differently."""
    processor = GroundingDinoImageProcessorPil(
        size={"shortest_edge": edges[0], "longest_edge": edges[1]}
    )
    processor.save_pretrained(tmp_path)
    image_format = load_detr_format(
        GroundingDinoImageProcessorPil, "m", tmp_path, DetrFormat((1, 1))
    )
    photo = noise(*size)
    expected = processor(images=[Image.fromarray(photo)], return_tensors="pt")
    prepared = image_format.prepare(
        [photo], image_format.size_of(photo), torch.device("cpu"), torch.float32
    )
    assert expected["pixel_mask"].all()
    torch.testing.assert_close(prepared, expected["pixel_values"], rtol=0, atol=most)


@pytest.mark.parametrize(
    "prompts", [("duck",), ("red mug",), ("carpet",), PROMPTS], ids=lambda p: " and ".join(p)
)
@pytest.mark.parametrize("size", [(40, 50), (64, 80), (31, 23)])
def test_boxes_and_scores_equal_those_of_the_reference(
    detector: GroundingDinoDetector,
    reference: Reference,
    prompts: tuple[str, ...],
    size: tuple[int, int],
) -> None:
    """Processor, forward pass and post-processing; the reference reports the maximum over the phrases for each box."""
    [every] = detect(detector, prompts, noise(*size))
    threshold = threshold_between(every.scores)
    expected_boxes, expected_scores = reference.detect(noise(*size), prompts, threshold)
    [detected] = detect(detector, prompts, noise(*size), threshold=threshold)
    corners, query = detected.corners.unique_consecutive(dim=0, return_inverse=True)
    scores = torch.zeros(len(corners)).scatter_reduce(0, query, detected.scores, "amax")
    assert 5 < len(expected_boxes) <= 30 and expected_scores.std() > 0.02
    check_same_rows(
        rows(corners, scores, max(size)), rows(expected_boxes, expected_scores, max(size)), 1e-4
    )


def test_the_published_widths_equal_the_reference(tmp_path: Path) -> None:
    """The published shape with fewer layers, which shortens the test."""
    config = published_grounding_dino_config()
    config.text_config.num_hidden_layers = config.encoder_layers = config.decoder_layers = 2
    write_grounding_dino(tmp_path, config, (224, 320), WORDS)
    [detected] = detect(load(tmp_path), ("red mug",), noise(40, 50))
    corners, scores = Reference(tmp_path).detect(noise(40, 50), ("red mug",), 0.0)
    assert len(detected.scores) == 900 and detected.scores.std() > 0.02
    # Of more than 900 cells some score the same up to rounding, which decides which of them become queries.
    gaps = distance_to_nearest(
        rows(corners, scores, 50), rows(detected.corners, detected.scores, 50)
    )
    assert (gaps <= 3e-4).float().mean() > 0.99


def test_a_phrase_of_a_second_caption_equals_the_reference(
    detector: GroundingDinoDetector, reference: Reference
) -> None:
    captions = detector.encode(many(70))
    assert len(captions) > 1
    last = tuple(many(70)[i] for i in captions[-1].prompt_index.tolist())
    [detected] = detect(detector, many(70), noise(40, 50))
    _, expected = reference.detect(noise(40, 50), last, 0.0)
    in_last = torch.isin(detected.prompt_index, captions[-1].prompt_index)
    best = detected.scores[in_last].view(-1, len(last)).amax(1)
    torch.testing.assert_close(best.sort().values, expected.sort().values, rtol=0, atol=1e-4)


# -- each input is encoded once ----------------------------------------------------------------------------


def test_text_is_encoded_once_per_vocabulary_and_an_image_once_for_all_captions(
    folder: Path,
) -> None:
    network = (detector := load(folder)).network
    with calls_of(network.model.model.text_backbone) as texts:
        captions = detector.encode(many(70))
        assert len(texts) == len(captions) == 2
        with calls_of(network.model.model.backbone) as images:
            for _ in range(3):
                detector.detect([noise(40, 50)], captions, np.full(70, 0.5, np.float32))
        assert len(texts) == 2 and len(images) == 3


# -- phrases -----------------------------------------------------------------------------------------------


def many(count: int) -> tuple[str, ...]:
    return tuple(f"{a} {b} {c}" for a in WORDS for b in WORDS for c in WORDS)[:count]


def test_a_phrase_is_scored_by_its_own_tokens_alone(
    detector: GroundingDinoDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """'car' begins both "car" and "carpet", which is 'car', '##p', '##e', '##t' to the tokenizer."""
    prompts = ("carpet", "red car", "car")
    [caption] = detector.encode(prompts)
    tokens = caption.text.features.shape[1]
    assert tokens == 1 + (4 + 1) + (2 + 1) + (1 + 1) + 1
    for prompt, (start, end) in enumerate(caption.spans):
        for token in range(tokens):
            logits = torch.full((1, 1, tokens), -9.0)
            logits[..., token] = 9.0
            boxes = torch.full((1, 1, 4), 0.5)
            monkeypatch.setattr(
                detector.network, "detect", lambda *_, outputs=(logits, boxes): outputs
            )
            [detected] = detect(detector, prompts, noise(40, 50), threshold=0.5)
            index = caption.prompt_index[prompt]
            assert (index in detected.prompt_index) == (start <= token < end)


def test_captions_hold_each_phrase_once_and_are_no_longer_than_the_model_accepts(
    detector: GroundingDinoDetector,
) -> None:
    captions = detector.encode(many(200))
    indices = [index for caption in captions for index in caption.prompt_index.tolist()]
    assert sorted(indices) == list(range(200))
    lengths = [caption.text.features.shape[1] for caption in captions]
    assert max(lengths) <= 256 and min(lengths[:-1]) > 256 - 4


def test_a_phrase_that_two_classes_share_is_detected_for_both(
    detector: GroundingDinoDetector,
) -> None:
    [detected] = detect(detector, ("duck", "red mug", "duck"), noise(40, 50))
    [alone] = detect(detector, ("duck", "red mug"), noise(40, 50))
    first, last = (detected.scores[detected.prompt_index == prompt] for prompt in (0, 2))
    torch.testing.assert_close(first, last, rtol=0, atol=1e-6)
    torch.testing.assert_close(first, alone.scores[alone.prompt_index == 0], rtol=0, atol=1e-6)


def test_upper_case_and_full_stops_do_not_change_a_phrase(detector: GroundingDinoDetector) -> None:
    [plain] = detect(detector, ("red mug", "duck"), noise(40, 50))
    [decorated] = detect(detector, ("Red. Mug.", "DUCK?"), noise(40, 50))
    assert len(decorated.scores) == 60
    torch.testing.assert_close(decorated.scores, plain.scores, rtol=0, atol=0)


def test_a_phrase_longer_than_a_caption_is_refused(detector: GroundingDinoDetector) -> None:
    detector.encode(["a " * 253])
    with pytest.raises(VocabularyError, match=r"has 254 tokens and .* reads at most 253"):
        detector.encode(["duck", "a " * 254])


@pytest.mark.parametrize("prompt", ["鸭子", ".", "?!."])
def test_a_phrase_without_a_known_word_is_refused(
    detector: GroundingDinoDetector, prompt: str
) -> None:
    with pytest.raises(VocabularyError, match="no word that"):
        detector.encode(["duck", prompt])


# -- classes influence each other --------------------------------------------------------------------------


def test_the_order_of_phrases_changes_nothing(detector: GroundingDinoDetector) -> None:
    for prompts in (PROMPTS, many(70)):
        [forwards] = detect(detector, prompts, noise(40, 50))
        [backwards] = detect(detector, prompts[::-1], noise(40, 50))
        for prompt in range(len(prompts)):
            first = forwards.scores[forwards.prompt_index == prompt]
            last = backwards.scores[backwards.prompt_index == len(prompts) - 1 - prompt]
            torch.testing.assert_close(first, last, rtol=0, atol=1e-5)


def test_scores_of_a_phrase_depend_little_on_the_other_phrases(
    detector: GroundingDinoDetector,
) -> None:
    """The highest logit of a phrase, alone and with three others in its caption.

    Measured: 0.5 apart on average, 1.8 at most, with the strong fusion that the random weights have.
    """
    changes = []
    for seed in range(5):
        [together] = detect(detector, PROMPTS, noise(40, 50, seed))
        for index, prompt in enumerate(PROMPTS):
            [alone] = detect(detector, (prompt,), noise(40, 50, seed))
            among = together.scores[together.prompt_index == index]
            changes.append((among.max().logit() - alone.scores.max().logit()).abs().item())
    assert 0.05 < np.mean(changes) < 1 and max(changes) < 3


# -- images ------------------------------------------------------------------------------------------------


def test_images_of_several_sizes_do_not_depend_on_each_other(
    detector: GroundingDinoDetector,
) -> None:
    images = [noise(40, 50, 1), noise(90, 30, 2), noise(40, 50, 3), noise(20, 25, 4)]
    together = detect(detector, PROMPTS, *images)
    for image, detected in zip(images, together, strict=True):
        [alone] = detect(detector, PROMPTS, image)
        torch.testing.assert_close(detected.scores, alone.scores, rtol=0, atol=1e-5)
        torch.testing.assert_close(detected.corners, alone.corners, rtol=0, atol=1e-3)


def test_images_in_one_batch_do_not_depend_on_each_other(
    detector: GroundingDinoDetector,
) -> None:
    """A GPU encodes several at once, a CPU one at a time."""
    pixels = torch.randn(3, 3, 64, 80, generator=torch.Generator().manual_seed(0))
    [caption] = detector.encode(PROMPTS)
    with torch.inference_mode():
        together = detector.network.detect(detector.network.encode_images(pixels), caption.text)
        for i in range(3):
            features = detector.network.encode_images(pixels[i : i + 1])
            alone = detector.network.detect(features, caption.text)
            check_same_rows(
                torch.cat([logits_or_boxes[i] for logits_or_boxes in together], dim=1),
                torch.cat([logits_or_boxes[0] for logits_or_boxes in alone], dim=1),
                1e-4,
            )


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 90)])
def test_an_image_with_fewer_cells_than_queries_is_accepted(
    detector: GroundingDinoDetector, size: tuple[int, int]
) -> None:
    [detected] = detect(detector, PROMPTS, noise(*size))
    assert (
        len(detected.scores)
        and detected.corners.isfinite().all()
        and detected.scores.isfinite().all()
    )


def test_only_boxes_that_reach_the_threshold_of_their_phrase_are_detected(
    detector: GroundingDinoDetector,
) -> None:
    [every] = detect(detector, PROMPTS, noise(40, 50))
    thresholds = np.array([0.1, 0.3, 1.0, 0.6], np.float32)
    [detected] = detector.detect([noise(40, 50)], detector.encode(PROMPTS), thresholds)
    expected = every.scores >= torch.from_numpy(thresholds)[every.prompt_index]
    assert 0 < len(detected.scores) < len(every.scores)
    assert torch.equal(detected.scores, every.scores[expected])
    assert torch.equal(detected.corners, every.corners[expected])


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_16_bits_are_close_to_32(
    folder: Path, detector: GroundingDinoDetector, precision: str
) -> None:
    """Other cells may become queries; the highest scores of the phrases change little on average."""
    [exact] = detect(detector, PROMPTS, noise(40, 50))
    [close] = detect(load(folder, precision=precision), PROMPTS, noise(40, 50))
    assert close.corners.dtype == close.scores.dtype == torch.float32
    changes = []
    for prompt in range(len(PROMPTS)):
        highest, other = (b.scores[b.prompt_index == prompt].max() for b in (exact, close))
        changes.append(abs(highest - other))
    assert np.mean(changes) < 0.1


# -- checkpoints that cannot be used -----------------------------------------------------------------------


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A checkpoint to damage."""
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def change_config(folder: Path, name: str = "config.json", **changes: object) -> None:
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_tokenizer_of_another_model_is_a_model_error(copy: Path) -> None:
    write_bert_tokenizer(copy, 1200)
    with pytest.raises(
        ModelError, match=r"1200 tokens and the model only 1100.*do not belong together"
    ):
        load(copy)
    BertTokenizer().save_pretrained(copy)
    with pytest.raises(ModelError, match=r"delimiters \[1, 2, 3\].*do not belong together"):
        load(copy)


def test_a_model_without_two_stages_is_refused(copy: Path) -> None:
    change_config(copy, embedding_init_target=False)
    with pytest.raises(ModelError, match="embedding_init_target"):
        load(copy)


def test_a_checkpoint_without_preprocessor_file_gets_the_published_values(copy: Path) -> None:
    (copy / "preprocessor_config.json").unlink()
    [detected] = detect(load(copy), ("duck",), noise(16, 16))
    assert len(detected.scores) == 30


@pytest.mark.parametrize("edges", [(10**9, 10**9), (0, 100), (800, 4097)])
def test_a_checkpoint_that_takes_images_of_absurd_edges_is_refused(
    copy: Path, edges: tuple[int, int]
) -> None:
    size = {"shortest_edge": edges[0], "longest_edge": edges[1]}
    change_config(copy, "preprocessor_config.json", size=size)
    with pytest.raises(ModelError, match=f"sides of {edges[0]} and {edges[1]} pixels"):
        load(copy)


def test_a_damaged_preprocessor_file_is_a_model_error(copy: Path) -> None:
    change_config(copy, "preprocessor_config.json", image_mean="grey")
    with pytest.raises(ModelError, match=r"checkpoint of .* cannot be loaded \(.*fetch it again"):
        load(copy)
