# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""SAM 3 on random-weight checkpoints, written and loaded the way real ones are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from families import WORDS
from inputs import blots, segment, words
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torchvision_stand_in import torchvision_stand_in
from transformers import CLIPTokenizer, PreTrainedModel, Sam3Processor
from transformers.models.sam3.modeling_sam3 import Sam3Model
from transformers.models.sam3_lite_text.modeling_sam3_lite_text import Sam3LiteTextModel

from zs_seg_ros.cli.main import main
from zs_seg_ros.errors import ModelError, VocabularyError
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.segmenters.sam3 import segmenter as sam3
from zs_seg_ros.segmenters.sam3.network import TextFeatures
from zs_seg_ros.segmenters.sam3.segmenter import Sam3Segmenter
from zs_seg_ros.testing.clipseg import write_tokenizer
from zs_seg_ros.testing.sam3 import (
    small_sam3_config,
    small_sam3_lite_text_config,
    small_sam3_video_config,
    write_sam3,
)
from zs_seg_ros.types import Batch, DetectedObject, Segmentation
from zs_seg_ros.vocabulary.vocabulary import Exemplar, TargetClass, Vocabulary

PROMPTS = ("red mug", "blue car", "duck", "a long green thing", "ball")
SIZES = [(48, 64), (37, 91), (130, 61), (112, 112)]
CONFIGS = {
    "sam3": (small_sam3_config, Sam3Model),
    "sam3_video": (small_sam3_video_config, Sam3Model),
    "sam3_lite_text": (small_sam3_lite_text_config, Sam3LiteTextModel),
}


@dataclass(frozen=True)
class Pair:
    """The segmenter and transformers' own model and processor of one checkpoint."""

    segmenter: Sam3Segmenter
    model: PreTrainedModel
    processor: Sam3Processor

    def reference(self, image: NDArray[np.uint8], prompt: str) -> Any:
        inputs = self.processor(images=image, text=prompt, return_tensors="pt")
        del inputs["original_sizes"]
        with torch.inference_mode():
            return self.model(**inputs)


@pytest.fixture(scope="module", params=CONFIGS)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    config, kind = CONFIGS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    write_sam3(folder, config(), words=WORDS)
    with torchvision_stand_in():
        from transformers.models.sam3.image_processing_sam3 import Sam3ImageProcessor

        processor = Sam3Processor(
            Sam3ImageProcessor.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder)
        )
        yield Pair(load(folder), kind.from_pretrained(folder).eval(), processor)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sam3")
    write_sam3(folder, small_sam3_config(), words=WORDS)
    return folder


@pytest.fixture
def segmenter(folder: Path) -> Sam3Segmenter:
    return load(folder)


def load(folder: Path, **options: str) -> Sam3Segmenter:
    segmenter = load_segmenter(str(folder), LoadOptions(device="cpu", **options))
    assert isinstance(segmenter, Sam3Segmenter)
    return segmenter


def objects_of(result: Segmentation, class_id: int) -> list[DetectedObject]:
    assert result.instances is not None
    return [detected for detected in result.instances if detected.class_id == class_id]


def full_mask(detected: DetectedObject, size: Sequence[int]) -> NDArray[np.bool_]:
    full = np.zeros(size, bool)
    box = detected.box
    full[box.top : box.top + box.height, box.left : box.left + box.width] = detected.mask
    return full


@contextmanager
def calls_of(module: nn.Module) -> Iterator[list[tuple[int, ...]]]:
    """The shapes of the outputs of a module while the block runs."""
    calls: list[tuple[int, ...]] = []

    def remember(module: nn.Module, inputs: object, output: object) -> None:
        calls.append(tuple(output.shape) if isinstance(output, Tensor) else ())

    hook = module.register_forward_hook(remember)
    try:
        yield calls
    finally:
        hook.remove()


# -- equal to transformers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[1]}x{size[0]}")
def test_objects_equal_the_reference(pair: Pair, size: tuple[int, int]) -> None:
    """Number, scores and full-resolution masks of the objects of each phrase.

    The reference is Sam3Processor, the forward pass and post_process_instance_segmentation, one phrase at a time. Of a
    mask one pixel, and 1e-4 of all, may differ.
    """
    photo, vocabulary = blots(*size), words(*PROMPTS)
    [segmentation] = segment(pair.segmenter, vocabulary, photo)
    counts = []
    for prompt, class_id in zip(PROMPTS, vocabulary.ids, strict=True):
        [expected] = pair.processor.image_processor.post_process_instance_segmentation(
            pair.reference(photo, prompt), threshold=0.5, mask_threshold=0.5, target_sizes=[size]
        )
        order = expected["scores"].argsort(descending=True)
        order = order[expected["masks"][order].any(dim=(1, 2))]  # the segmenter drops empty masks
        objects = objects_of(segmentation, class_id)
        counts.append(len(objects))
        scores = [detected.score for detected in objects]
        np.testing.assert_allclose(scores, expected["scores"][order], rtol=0, atol=1e-4)
        for detected, mask in zip(objects, expected["masks"][order].numpy() > 0, strict=True):
            assert (full_mask(detected, size) != mask).sum() <= 1 + 1e-4 * mask.size
            assert 0.05 < mask.mean() < 0.95
    assert len(set(counts)) > 1, "all phrases have the same number of objects"
    assert sum(counts) > 5


def test_all_queries_equal_the_reference(pair: Pair) -> None:
    """Scores, boxes and masks at logits resolution of all queries, against the model's forward pass."""
    photo, network = blots(70, 50), pair.segmenter.network
    features = pair.segmenter.encode(words(*PROMPTS)).features
    inputs = pair.processor(images=photo, return_tensors="pt")
    with torch.inference_mode():
        [image] = network.encode_images(inputs["pixel_values"])
        candidates = network.detect(image, TextFeatures.joined(features.prompts))
        prompts, queries = candidates.scores.shape
        prompt = torch.arange(prompts).repeat_interleave(queries)
        query = torch.arange(queries).repeat(prompts)
        masks = network.masks(image, candidates, prompt, query).view(prompts, queries, 32, 32)
    spread = []
    for row, text in enumerate(PROMPTS):
        expected = pair.reference(photo, text)
        scores = expected.pred_logits.sigmoid() * expected.presence_logits.sigmoid()
        boxes = expected.pred_boxes[0]
        torch.testing.assert_close(candidates.scores[row], scores[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(candidates.boxes[row], boxes, rtol=0, atol=1e-5)
        mask = expected.pred_masks[0].sigmoid()
        torch.testing.assert_close(masks[row], mask, rtol=0, atol=1e-4)
        spread.append(torch.stack([scores.std(), mask.std(), boxes.std()]))
    assert torch.stack(spread).min() > 0.1


def test_the_presence_of_a_class_is_that_of_its_most_present_phrase(pair: Pair) -> None:
    """By class id, without negatives and classes of examples alone, whether or not anything is detected."""
    photo = blots(70, 50)
    classes = [
        TargetClass("both", (PROMPTS[0], PROMPTS[1]), negatives=(PROMPTS[2],)),
        TargetClass("shown", exemplars=(Exemplar(blots(40, 40)),)),
        TargetClass("alone", (PROMPTS[2],)),
    ]
    encoded = pair.segmenter.encode(Vocabulary().changed_to(classes))
    of_prompts = [
        float(pair.reference(photo, text).presence_logits.sigmoid()) for text in PROMPTS[:3]
    ]
    assert max(of_prompts) - min(of_prompts) > 0.001
    for threshold in (0.0, 1.0):
        batch = Batch((photo, blots(30, 40)), encoded.vocabulary.thresholds(threshold))
        result, other = pair.segmenter.segment(batch, encoded)
        expected = {1: max(of_prompts[:2]), 3: of_prompts[2]}
        assert result.presence == pytest.approx(expected, abs=1e-4)
        assert other.presence != result.presence


def test_the_command_shows_the_presence(
    pair: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, folder = blots(70, 50), tmp_path / "sam3"
    write_sam3(folder, small_sam3_config(), words=WORDS)
    segmenter = load(folder)
    encoded = segmenter.encode(words(*PROMPTS[:2]))
    [result] = segmenter.segment(Batch((photo,), encoded.vocabulary.thresholds(0.5)), encoded)
    assert result.presence is not None
    scores = [*result.presence.values()]
    Image.fromarray(photo).save(tmp_path / "photo.png")
    command = ["segment", str(tmp_path / "photo.png"), "--model", str(folder), "--device", "cpu"]
    command += ["--precision", "fp32", "--classes", *PROMPTS[:2]]
    assert main(command) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split()[-2:] == ["confidence", "presence"]
    assert [row.split()[-1] for row in rows] == [f"{score:.2f}" for score in scores]
    assert main([*command, "--json"]) == 0
    table = json.loads(capsys.readouterr().out)["classes"]
    assert [row["presence"] for row in table] == [round(score, 3) for score in scores]


def test_the_tracker_of_a_checkpoint_is_left_out(tmp_path: Path, segmenter: Sam3Segmenter) -> None:
    write_sam3(tmp_path, small_sam3_video_config(), words=WORDS)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "sam3_video"
    detector = segmenter.network.model.state_dict()
    assert load(tmp_path).network.model.state_dict().keys() == detector.keys()


# -- each input is encoded once ----------------------------------------------------------------------------


def test_an_image_is_encoded_once_for_all_classes(segmenter: Sam3Segmenter) -> None:
    model = segmenter.network.model
    with calls_of(model.vision_encoder.backbone) as vision, calls_of(model.detr_encoder) as decoder:
        segment(segmenter, words(*PROMPTS), blots(), blots(30, 40))
    assert len(vision) == 2
    assert len(decoder) == 2 * len(PROMPTS)


def test_the_text_is_encoded_once_per_phrase(segmenter: Sam3Segmenter) -> None:
    with calls_of(segmenter.network.model.text_encoder) as calls:
        encoded = segmenter.encode(words(*PROMPTS))
        segmenter.encode(words(*PROMPTS[::-1]))
        batch = Batch((blots(), blots()), encoded.vocabulary.thresholds(0.5))
        for _ in range(3):
            segmenter.segment(batch, encoded)
    assert len(calls) == 1


def test_masks_are_decoded_for_detections_alone(segmenter: Sam3Segmenter) -> None:
    """Neither the pixels of a phrase without detections are decoded, nor a query below the threshold."""
    vocabulary = words(*PROMPTS)
    [everything] = segment(segmenter, vocabulary, blots(), threshold=0.01)
    best = sorted(
        max(detected.score for detected in objects_of(everything, class_id))
        for class_id in vocabulary.ids
    )
    decoder = segmenter.network.model.mask_decoder
    with (
        calls_of(decoder.pixel_decoder) as pixels,
        calls_of(decoder.mask_embedder) as masks,
        calls_of(decoder.semantic_projection) as semantic,
    ):
        [result] = segment(segmenter, vocabulary, blots(), threshold=best[-2] + 1e-4)
    assert result.instances
    assert len(pixels) == 1 < len(PROMPTS)
    assert [shape[0] for shape in masks] == [len(result.instances)] < [12]
    assert not semantic


def test_no_mask_is_decoded_for_an_image_without_detections(segmenter: Sam3Segmenter) -> None:
    with calls_of(segmenter.network.model.mask_decoder.pixel_decoder) as pixels:
        [result] = segment(segmenter, words(*PROMPTS), blots(), threshold=1.0)
    assert not pixels
    assert result.instances == () and not result.label.any()


# -- classes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [2, 3, 8])
def test_phrases_in_one_batch_do_not_influence_each_other(
    segmenter: Sam3Segmenter, batch_size: int
) -> None:
    """A GPU processes several at once, a CPU one at a time."""
    vocabulary, photos = words(*PROMPTS), [blots(), blots(90, 40, seed=1)]
    one_by_one = segment(segmenter, vocabulary, *photos)
    segmenter.network.prompts_per_batch = segmenter.network._images_per_batch = batch_size
    together = segment(segmenter, vocabulary, *photos)
    for segmentation, expected in zip(together, one_by_one, strict=True):
        assert expected.instances
        for class_id in vocabulary.ids:
            pairs = zip(
                objects_of(segmentation, class_id), objects_of(expected, class_id), strict=True
            )
            for detected, alone in pairs:
                assert detected.score == pytest.approx(alone.score, abs=1e-5)
                assert abs(detected.area - alone.area) <= 1


def test_an_object_of_two_phrases_of_a_class_is_detected_once(segmenter: Sam3Segmenter) -> None:
    def scores_and_areas(*prompts: str) -> NDArray[np.float64]:
        vocabulary = Vocabulary().changed_to([TargetClass("object", prompts)])
        [result] = segment(segmenter, vocabulary, blots())
        return np.array([(detected.score, detected.area) for detected in result.instances or ()])

    duck, mug = scores_and_areas("duck"), scores_and_areas("red mug")
    assert 1 < len(duck) < 12
    same = scores_and_areas("duck", "Duck")  # CLIP's tokenizer ignores capitals
    assert len(same) == len(duck) and (abs(same - duck) <= (1e-5, 1)).all()
    both = scores_and_areas("duck", "red mug")
    assert len(duck) <= len(both) < len(duck) + len(mug)
    assert both[0, 0] == pytest.approx(max(duck[0, 0], mug[0, 0]), abs=1e-5)


def test_a_threshold_that_is_too_low_keeps_the_objects_of_highest_score(
    segmenter: Sam3Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    [everything] = segment(segmenter, words(*PROMPTS), blots(), threshold=0.0)
    monkeypatch.setattr(sam3, "_MAX_INSTANCES", 7)
    [result] = segment(segmenter, words(*PROMPTS), blots(), threshold=0.0)
    assert everything.instances and result.instances
    assert len(everything.instances) > 12
    best = [detected.score for detected in everything.instances[:7]]
    scores = [detected.score for detected in result.instances]
    np.testing.assert_allclose(scores, best, rtol=0, atol=1e-5)


def test_classes_of_the_same_phrase_are_reported(segmenter: Sam3Segmenter) -> None:
    assert not segmenter.encode(words(*PROMPTS)).warnings
    vocabulary = Vocabulary().changed_to([TargetClass("mug"), TargetClass("cup", ("mug",))])
    (warning,) = segmenter.encode(vocabulary).warnings
    assert "'mug' and 'cup'" in warning and "1.00" in warning


def test_a_phrase_longer_than_the_model_accepts_is_refused(segmenter: Sam3Segmenter) -> None:
    segmenter.encode(words("x " * 29 + "x"))  # 30 tokens, start and end: 32
    with pytest.raises(VocabularyError, match=r"has 31 tokens .* reads at most 30"):
        segmenter.encode(words("x " * 30 + "x"))


# -- checkpoints that cannot be used -----------------------------------------------------------------------


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A checkpoint to damage."""
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def change_processor(folder: Path, **changes: object) -> None:
    path = folder / "processor_config.json"
    settings = json.loads(path.read_text())
    settings["image_processor"].update(changes)
    path.write_text(json.dumps(settings))


def test_a_checkpoint_without_processor_file_gets_the_published_values(
    copy: Path, segmenter: Sam3Segmenter
) -> None:
    (copy / "processor_config.json").unlink()
    [segmentation], [expected] = (
        segment(s, words("duck"), blots()) for s in (load(copy), segmenter)
    )
    assert np.array_equal(segmentation.label, expected.label)


def test_the_values_of_the_processor_file_are_applied(copy: Path, segmenter: Sam3Segmenter) -> None:
    change_processor(copy, image_mean=[0.1, 0.2, 0.3])
    [segmentation], [expected] = (
        segment(s, words("duck"), blots()) for s in (load(copy), segmenter)
    )
    assert not np.array_equal(segmentation.confidence, expected.confidence)


def test_a_processor_of_another_size_is_a_model_error(copy: Path) -> None:
    change_processor(copy, size={"height": 56, "width": 112})
    with pytest.raises(ModelError, match="makes images of 112x56 and the model takes 112x112"):
        load(copy)


def test_a_tokenizer_of_another_model_is_a_model_error(copy: Path) -> None:
    write_tokenizer(copy, 700)
    with pytest.raises(ModelError, match="has 700 tokens and the model only 600"):
        load(copy)
