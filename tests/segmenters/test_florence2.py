# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Florence-2 on random-weight checkpoints, written and loaded the way real ones are."""

from __future__ import annotations

import gc
import json
import math
import string
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from calls import calls_of
from hypothesis import given, settings
from hypothesis import strategies as st
from inputs import blots, detect, noise, words
from numpy.typing import NDArray
from torch import Tensor
from transformers import BartTokenizer, Florence2ForConditionalGeneration, Florence2Processor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from zs_seg_ros.errors import ModelError, VocabularyError
from zs_seg_ros.segmenters.boxes_then_masks.boxes import Boxes
from zs_seg_ros.segmenters.boxes_then_masks.florence2 import Florence2Detector
from zs_seg_ros.segmenters.boxes_then_masks.florence2_answer import (
    AnswerTokens,
    parse_boxes,
    repeating,
)
from zs_seg_ros.segmenters.deadline import time_limit
from zs_seg_ros.segmenters.finite import finite_outputs_required
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.testing.florence2 import (
    published_florence2_config,
    small_florence2_config,
    write_bart_tokenizer,
    write_florence2,
)
from zs_seg_ros.testing.sam2 import small_sam2_video_config, write_sam2

SIDE = 64
WORDS = ("red", "blue", "mug", "plate", "left", "duck", "ball", "Locate", "in", "image")
PROMPTS = ("red mug", "the mug left of the plate", "duck")
TASK = "<OPEN_VOCABULARY_DETECTION>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("florence2")
    write_florence2(folder, small_florence2_config(), SIDE, WORDS)
    return folder


@pytest.fixture(scope="module")
def detector(folder: Path) -> Florence2Detector:
    return load(folder)


def load(folder: Path, **options: Any) -> Florence2Detector:
    return Florence2Detector(str(folder), folder, LoadOptions(device="cpu", **options))


def processor_of(folder: Path) -> Florence2Processor:
    return Florence2Processor(
        CLIPImageProcessorPil.from_pretrained(folder),
        BartTokenizer.from_pretrained(folder),
        post_processor_config={"description_with_bboxes_or_polygons": {}},
    )


def generated(folder: Path, pixels: Tensor, prompt: str) -> tuple[Tensor, Tensor]:
    """Return the ids (T,) of transformers' greedy answer, and their probabilities (T,)."""
    model = Florence2ForConditionalGeneration.from_pretrained(folder).eval()
    inputs = processor_of(folder)(images=blots(), text=TASK + prompt, return_tensors="pt")
    answer = model.generate(
        **{**inputs, "pixel_values": pixels},
        num_beams=1,
        do_sample=False,
        max_new_tokens=256,
        return_dict_in_generate=True,
        output_logits=True,
    )
    ids = answer.sequences[0, 1:]
    return ids, torch.stack(answer.logits)[:, 0].softmax(-1).gather(1, ids[:, None])[:, 0]


def reference(
    detector: Florence2Detector, photo: NDArray[np.uint8], prompt: str
) -> tuple[Tensor, Tensor]:
    """Return boxes (N, 4) of transformers' generation and post-processing, and their scores (N,).

    Of the pixels of this package, which differ from the processor's by up to two grey levels: the sharp attention of
    these weights would amplify that to other tokens.
    """
    folder = Path(detector.model)
    processor = processor_of(folder)
    ids, shares = generated(folder, detector.prepare(photo), prompt)
    text = processor.decode(ids, skip_special_tokens=False)
    height, width = photo.shape[:2]
    answer = processor.post_process_generation(text, task=TASK, image_size=(width, height))[TASK]
    names = processor.tokenizer.convert_ids_to_tokens(ids.tolist())
    located = [share for name, share in zip(names, shares, strict=True) if "<loc_" in name]
    fours = torch.stack(located[: len(located) // 4 * 4]).view(-1, 4)
    boxes = torch.tensor(answer["bboxes"]).view(-1, 4).float()
    return boxes, fours.log().mean(dim=1).exp()


def check_equal(detected: Boxes, expected: tuple[Tensor, Tensor]) -> None:
    """Compare boxes within the pixel that transformers rounds down, and scores; there must be at least one."""
    boxes, scores = expected
    proper = ((boxes[:, 2:] - boxes[:, :2]) > 1).all(dim=1)
    assert proper.any()
    for box, score in zip(boxes[proper], scores[proper], strict=True):
        same_score = (detected.scores - score).abs() < 1e-3
        assert ((detected.corners - box).abs() <= 1)[same_score].all(dim=1).any()
    assert proper.sum() <= len(detected.scores) <= len(boxes)


# -- equal to transformers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", [*PROMPTS, "Ente, größer als der Würfel"])
@pytest.mark.parametrize("size", [(40, 50), (200, 120), (30, 300)])
def test_boxes_and_scores_equal_those_of_the_reference(
    folder: Path, detector: Florence2Detector, prompt: str, size: tuple[int, int]
) -> None:
    """Processor, generation and post-processing."""
    [detected] = detect(detector, (prompt,), noise(*size))
    check_equal(detected, reference(detector, noise(*size), prompt))


@pytest.mark.parametrize("prompt", PROMPTS)
def test_tokens_and_probabilities_equal_those_of_transformers_generation(
    folder: Path, detector: Florence2Detector, prompt: str
) -> None:
    check_same_answer(detector, folder, blots(100, 70, 5), prompt)


@pytest.mark.parametrize("unique", [0, 2])
def test_an_answer_repeats_no_more_tokens_than_the_checkpoint_allows(
    copy: Path, unique: int
) -> None:
    """As in transformers' generation, by `no_repeat_ngram_size`."""
    change(copy / "generation_config.json", no_repeat_ngram_size=unique)
    detector = load(copy)
    for prompt in PROMPTS:
        for seed in range(3):
            check_same_answer(detector, copy, blots(64, 64, seed), prompt)


def check_same_answer(
    detector: Florence2Detector, folder: Path, photo: NDArray[np.uint8], prompt: str
) -> None:
    pixels = detector.prepare(photo)
    ids, shares = generated(folder, pixels, prompt)
    [request] = detector.encode([prompt])
    with torch.inference_mode():
        answer, probabilities = detector.network.answer(
            detector.network.encode_image(pixels), request
        )
    assert answer == ids[1:].tolist()  # after the start
    np.testing.assert_allclose(probabilities, shares[1:], atol=1e-4)


def test_repeated_tokens_are_those_that_would_end_a_sequence_a_second_time() -> None:
    answer = [7, 8, 9, 7, 8, 5, 7, 8]
    assert repeating(answer, 3) == {9, 5}
    assert repeating(answer, 2) == {9, 5}
    assert repeating(answer, 1) == {5, 7, 8, 9}
    assert repeating(answer, 0) == repeating(answer, 20) == repeating([], 3) == set()


@pytest.mark.parametrize("size", [(40, 50), (200, 120), (5, 300)])
def test_pixels_are_those_of_the_processor(
    folder: Path, detector: Florence2Detector, size: tuple[int, int]
) -> None:
    expected = processor_of(folder)(images=noise(*size), text=TASK, return_tensors="pt")
    difference = (detector.prepare(noise(*size)) - expected["pixel_values"]).abs()
    assert difference.max() <= 2.01 / 255 / 0.224


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_other_weights_and_images_equal_the_reference(tmp_path: Path, seed: int) -> None:
    write_florence2(tmp_path, small_florence2_config(), 96, WORDS, seed)
    photo = blots(300, 400, seed)
    detector = load(tmp_path)
    [detected] = detect(detector, ("ball in the image",), photo)
    check_equal(detected, reference(detector, photo, "ball in the image"))


def test_the_published_widths_equal_the_reference(tmp_path: Path) -> None:
    """The published shape with fewer layers, which shortens the test."""
    config = published_florence2_config()
    config.text_config.encoder_layers = config.text_config.decoder_layers = 2
    config.text_config.vocab_size = 1344
    config.vision_config.depths = [1, 1, 1, 1]
    write_florence2(tmp_path, config, 96, WORDS)
    photo = blots(60, 80)
    detector = load(tmp_path)
    [detected] = detect(detector, ("red mug",), photo)
    check_equal(detected, reference(detector, photo, "red mug"))


# -- each image is encoded once ----------------------------------------------------------------------------


def test_an_image_is_encoded_once_for_all_phrases_and_each_phrase_is_one_generation(
    detector: Florence2Detector,
) -> None:
    network = detector.network.model.model
    with (
        calls_of(network.vision_tower) as images,
        calls_of(network.language_model.encoder) as requests,
    ):
        detect(detector, PROMPTS, noise(40, 50), blots())
    assert len(images) == 2 and len(requests) == 2 * len(PROMPTS)


def test_images_and_phrases_do_not_depend_on_each_other(detector: Florence2Detector) -> None:
    photos = noise(40, 50), blots(90, 30, 2)
    together = detect(detector, PROMPTS, *photos)
    for photo, of_image in zip(photos, together, strict=True):
        for number, prompt in enumerate(PROMPTS):
            [alone] = detect(detector, (prompt,), photo)
            own = of_image.prompt_index == number
            assert len(alone.scores) and torch.equal(of_image.corners[own], alone.corners)
            assert torch.equal(of_image.scores[own], alone.scores)


def test_each_phrase_has_its_own_threshold(detector: Florence2Detector) -> None:
    [everything] = detect(detector, PROMPTS, noise(40, 50))
    highest = [float(everything.scores[everything.prompt_index == i].max()) for i in range(3)]
    thresholds = np.array([highest[0] * 0.99, 1.0, 0.0], np.float32)
    [detected] = detector.detect([noise(40, 50)], detector.encode(PROMPTS), thresholds)
    assert {0, 2} == set(detected.prompt_index.tolist())
    assert (detected.prompt_index == 2).sum() == (everything.prompt_index == 2).sum()


# -- limits ------------------------------------------------------------------------------------------------


def test_an_answer_without_end_is_cut_off(copy: Path) -> None:
    change(copy / "generation_config.json", eos_token_id=3)  # which it never writes
    detector = load(copy)
    with calls_of(detector.network.model.model.language_model.decoder) as steps:
        detect(detector, ("duck",), noise(40, 50))
    assert len(steps) == 256


def test_the_time_limit_holds_within_an_answer(detector: Florence2Detector) -> None:
    encoded, thresholds = detector.encode(["duck"]), np.zeros(1, np.float32)
    with (
        calls_of(detector.network.model.model.language_model.decoder) as steps,
        time_limit(1e-9),
        pytest.raises(VocabularyError, match="takes longer than vocabulary_timeout"),
    ):
        detector.detect([noise(40, 50)], encoded, thresholds)
    assert not steps


@pytest.mark.parametrize("marker", ["<loc_7>", "mug</s>", "<image>", "<poly> mug", "mug <pad>"])
def test_a_phrase_with_a_marker_is_refused(detector: Florence2Detector, marker: str) -> None:
    with pytest.raises(VocabularyError, match=r"has a marker that .* leave it out"):
        detector.encode(["duck", marker])


def test_a_phrase_too_long_for_an_answer_is_refused(detector: Florence2Detector) -> None:
    detector.encode([" duck" * 85])
    with pytest.raises(VocabularyError, match=r"has 1\d\d tokens and .* reads at most 100"):
        detector.encode(["duck", " duck" * 110])


def test_outputs_that_are_not_finite_detect_nothing_and_are_a_model_error_in_the_trial(
    folder: Path,
) -> None:
    detector = load(folder)
    head = detector.network.model.lm_head
    hook = head.register_forward_hook(lambda *call: call[2] * math.nan)
    [detected] = detect(detector, ("duck",), noise(40, 50))
    assert len(detected.scores) == 0 and detected.corners.shape == (0, 4)
    with finite_outputs_required(), pytest.raises(ModelError, match="not finite numbers"):
        detect(detector, ("duck",), noise(40, 50))
    hook.remove()


# -- answers -----------------------------------------------------------------------------------------------

KINDS = AnswerTokens({1000 + n: n for n in range(1000)}, frozenset({0, 1, 2}), frozenset({3, 4}))
WORD, START, PADDING, END, MARKER = 50, 0, 1, 2, 3


def parsed(*tokens: int) -> list[tuple[int, ...]]:
    """Parse an answer of likely tokens; return its boxes in thousandths, rounded down."""
    boxes = parse_boxes(tokens, [0.5] * len(tokens), KINDS)
    assert all(box.score == pytest.approx(0.5) for box in boxes)
    return [tuple(int(corner * 1000) for corner in box.corners) for box in boxes]


def loc(*numbers: int) -> tuple[int, ...]:
    return tuple(1000 + number for number in numbers)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ((), []),
        ((END,), []),
        ((START, WORD, END), []),
        ((START, WORD, *loc(10, 20, 300, 999), END), [(10, 20, 300, 999)]),
        ((WORD, WORD, *loc(0, 0, 1, 1, 5, 6, 7, 8)), [(0, 0, 1, 1), (5, 6, 7, 8)]),
        (
            (WORD, *loc(1, 2, 3, 4), WORD, *loc(5, 6, 7, 8), END, PADDING),
            [(1, 2, 3, 4), (5, 6, 7, 8)],
        ),
        ((WORD, *loc(1, 2, 3), END), []),  # three numbers
        ((WORD, *loc(1, 2, 3, 4, 5, 6, 7), WORD, *loc(8)), [(1, 2, 3, 4)]),
        ((WORD, *loc(300, 20, 10, 30)), []),  # right of its right edge
        ((WORD, *loc(10, 30, 300, 20)), []),  # upside down
        ((WORD, *loc(10, 30, 10, 40)), []),  # no width
        ((START, *loc(1, 2, 3, 4)), []),  # of no phrase
        ((WORD, MARKER, *loc(1, 2, 3, 4, 5, 6), MARKER), []),  # a polygon
        ((WORD, *loc(1, 2), WORD, *loc(3, 4)), []),
        ((99999, *loc(1, 2, 3, 4)), [(1, 2, 3, 4)]),
    ],
)
def test_boxes_are_four_locations_in_a_row_after_a_phrase(
    tokens: tuple[int, ...], expected: list[tuple[int, ...]]
) -> None:
    assert parsed(*tokens) == expected


def test_the_score_is_the_geometric_mean_of_the_probabilities_of_the_corners() -> None:
    shares = [0.01, 0.9, 0.8, 0.7, 0.6, 0.02]
    [box] = parse_boxes([WORD, *loc(1, 2, 3, 4), END], shares, KINDS)
    assert box.score == pytest.approx((0.9 * 0.8 * 0.7 * 0.6) ** 0.25)
    [impossible] = parse_boxes([WORD, *loc(1, 2, 3, 4)], [1, 1, 1, 0, 1], KINDS)
    assert impossible.score == 0


@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(0, 60), st.integers(1000, 1999), st.integers(-5, 10**9)),
            st.one_of(st.floats(0, 1), st.just(math.nan), st.just(0.0)),
        ),
        max_size=60,
    )
)
def test_any_answer_gives_boxes_within_the_image_or_none(answer: list[tuple[int, float]]) -> None:
    tokens, shares = [token for token, _ in answer], [share for _, share in answer]
    for box in parse_boxes(tokens, shares, KINDS):
        left, top, right, bottom = box.corners
        assert 0 < left < right < 1 and 0 < top < bottom < 1
        assert math.isnan(box.score) or 0 <= box.score <= 1


PART = st.one_of(
    st.just("duck"), st.just(" red mug"), st.integers(0, 999).map(lambda n: f"<loc_{n}>")
)


@settings(deadline=None)
@given(st.lists(PART, max_size=30))
def test_an_answer_of_words_and_locations_is_parsed_as_transformers_does(
    folder: Path, detector: Florence2Detector, parts: list[str]
) -> None:
    """All but boxes without extent, which transformers returns, and locations before any word."""
    tokenizer = BartTokenizer.from_pretrained(folder)
    text = "<s>duck" + "".join(parts) + "</s>"
    answer = processor_of(folder).post_process_generation(text, task=TASK, image_size=(2000, 1000))
    expected = [b for b in answer[TASK]["bboxes"] if b[0] < b[2] and b[1] < b[3]]
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    boxes = parse_boxes(ids, [1.0] * len(ids), detector._kinds)
    found = [[int(c * s) for c, s in zip(b.corners, (2000, 1000) * 2, strict=True)] for b in boxes]
    np.testing.assert_allclose(np.array(found), np.array(expected), atol=1)


# -- in a pair ---------------------------------------------------------------------------------------------


def test_a_pair_warns_that_the_model_answers_for_absent_classes_too(
    folder: Path, tmp_path: Path
) -> None:
    write_sam2(tmp_path, small_sam2_video_config(), seed=3)
    pair = load_segmenter(f"{folder} + {tmp_path}", LoadOptions(device="cpu"))
    assert "cannot answer that a class is absent" in pair.caution
    assert pair.prompts_are_independent
    assert pair.encode(words("the mug left of the plate")).warnings == ()


# -- checkpoints -------------------------------------------------------------------------------------------


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A checkpoint to change."""
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def change(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def authors_layout(folder: Path) -> None:
    text = {"model_type": "florence2_language", "vocab_size": 51289}
    change(folder / "config.json", text_config=text, auto_map={"AutoConfig": "x--y.Z"})


def images_too_large(folder: Path) -> None:
    change(folder / "preprocessor_config.json", size={"height": 1024, "width": 1024})


def no_start(folder: Path) -> None:
    change(folder / "generation_config.json", decoder_start_token_id=[2])


def no_locations(folder: Path) -> None:
    BartTokenizer(vocab={"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}, merges=[]).save_pretrained(
        folder
    )


def other_tokenizer(folder: Path) -> None:
    write_bart_tokenizer(folder, 1400, [f"word{letter}" for letter in string.ascii_letters])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (authors_layout, r"authors' own layout .* fetch .*florence-community/Florence-2-base-ft"),
        (images_too_large, r"makes images of 1024x1024, and the model has no positions"),
        (no_start, r"has \[2\] as decoder_start_token_id and 2 as eos_token_id"),
        (no_locations, r"no token <loc_0>, in which Florence-2 writes boxes"),
        (other_tokenizer, r"tokens and the model only 1344"),
    ],
)
def test_a_checkpoint_that_cannot_be_used_is_refused_in_a_sentence(
    copy: Path, damage: Callable[[Path], None], reason: str
) -> None:
    damage(copy)
    with pytest.raises(ModelError, match=reason) as refused:
        load(copy)
    assert "\n" not in str(refused.value) and "fetch" in str(refused.value)


def test_a_checkpoint_without_generation_config_generates_by_its_config(copy: Path) -> None:
    (copy / "generation_config.json").unlink()
    [detected] = detect(load(copy), PROMPTS, noise(40, 50))
    assert len(detected.scores)


def test_a_detector_that_is_no_longer_used_frees_its_weights(folder: Path) -> None:
    detector = load(folder)
    detect(detector, ("duck",), noise(40, 50))
    weights = weakref.ref(detector.network.model)
    del detector
    gc.collect()
    assert weights() is None
