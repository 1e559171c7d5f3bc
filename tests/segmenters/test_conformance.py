# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The behaviour that all families share, on small checkpoints of random weights in the published formats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from families import EXPORTED, FAMILIES, Family
from inputs import assert_same_segmentation, blots, segment, words
from numpy.typing import NDArray
from torch.nn.modules.module import register_module_forward_hook

from zs_seg_ros.errors import ModelError, NoMaskPromptsError, VocabularyError
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.perception.marked_objects import segment_everything, segment_marked
from zs_seg_ros.perception.output_size import pixel_grid
from zs_seg_ros.segmenters.base import Segmenter
from zs_seg_ros.segmenters.kept_images import keeping_images
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.mask_prompts import MarkedPoint, MaskPrompt, mask_prompter_of
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.segmenters.shared import all_masks
from zs_seg_ros.segmenters.shared.one_core_threads import OneCoreThreads
from zs_seg_ros.types import Batch, Box, DetectedObject, Segmentation
from zs_seg_ros.vocabulary.vocabulary import Exemplar, TargetClass, Vocabulary

SIZES = [(48, 64), (1, 1), (1, 200), (200, 1), (37, 90), (130, 61)]


@dataclass(frozen=True)
class Loaded:
    family: Family
    model: str
    segmenter: Segmenter

    def segment(
        self, vocabulary: Vocabulary, *images: NDArray[np.uint8], threshold: float | None = None
    ) -> list[Segmentation]:
        least = self.family.threshold if threshold is None else threshold
        return segment(self.segmenter, vocabulary, *images, threshold=least)

    def clear_instances(self, result: Segmentation) -> list[DetectedObject]:
        """List the instances whose score is too far above the threshold for rounding errors to matter."""
        least = self.family.threshold + 1e-3
        return [instance for instance in result.instances or () if instance.score > least]


@pytest.fixture(scope="module", params=FAMILIES + EXPORTED, ids=lambda family: family.name)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    family = request.param
    model = family.write(tmp_path_factory.mktemp(family.name))
    return Loaded(family, model, load_segmenter(model, family_options(family)))


def family_options(family: Family) -> LoadOptions:
    return LoadOptions(device="cpu", engine=family.engine)


def check(result: Segmentation, size: tuple[int, int], ids: tuple[int, ...]) -> None:
    """Check shapes, dtypes and ranges, and that label, confidence and instances agree."""
    assert result.label.shape == result.confidence.shape == size
    assert result.label.dtype == (np.uint8 if max(ids, default=0) < 255 else np.uint16)
    assert result.confidence.dtype == np.uint8
    assert set(np.unique(result.label)) <= {0, *ids}
    assert ((result.confidence == 0) == (result.label == 0)).all()
    covered = np.zeros(size, bool)
    for instance in result.instances or ():
        assert instance.class_id in ids and 0 <= instance.score <= 1
        box = instance.box
        assert 0 <= box.left <= box.left + box.width <= size[1]
        assert 0 <= box.top <= box.top + box.height <= size[0]
        rows, columns = instance.mask.any(axis=1), instance.mask.any(axis=0)
        assert rows[[0, -1]].all() and columns[[0, -1]].all()
        covered[box.top : box.top + box.height, box.left : box.left + box.width] |= instance.mask
    if result.instances is not None:
        assert (covered == (result.label > 0)).all()


def same_label(first: Segmentation, second: Segmentation) -> float:
    """Compute the share of pixels with the same label."""
    return float((first.label == second.label).mean())


def test_known_words_are_in_force_without_inference_and_new_ones_after_it(loaded: Loaded) -> None:
    model = LiveModel(lambda: 0)
    model.segmenter = loaded.segmenter
    known, *others = loaded.family.names(3)
    modules: list[torch.nn.Module] = []
    hook = register_module_forward_hook(lambda module, *_: modules.append(module))
    try:
        for name in others:
            classes = [TargetClass(known), TargetClass(name)]
            for needs_trial in (True, False):
                modules.clear()
                model.change_vocabulary(classes)
                assert bool(modules) == needs_trial
    finally:
        hook.remove()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[1]}x{size[0]}")
def test_the_segmentation_has_the_size_of_the_image(loaded: Loaded, size: tuple[int, int]) -> None:
    vocabulary = words(*loaded.family.names(3))
    [result] = loaded.segment(vocabulary, blots(*size))
    check(result, size, vocabulary.ids)


def test_a_smaller_segmentation_labels_what_the_whole_one_does(loaded: Loaded) -> None:
    """Only its image is decoded at the smaller size; those beside it stay as they are."""
    vocabulary = words(*loaded.family.names(3))
    images, sizes = (blots(), blots(90, 40, 2), blots(48, 64, 3)), ((15, 20), (90, 40), (48, 64))
    thresholds = vocabulary.thresholds(loaded.family.threshold)
    encoded = loaded.segmenter.encode(vocabulary)
    small, *others = loaded.segmenter.segment(Batch(images, thresholds, sizes), encoded)
    whole, *unchanged = loaded.segmenter.segment(Batch(images, thresholds), encoded)
    check(small, (15, 20), vocabulary.ids)
    assert_same_segmentation(others[0], unchanged[0])
    # Logits of random weights can differ from pixel to pixel, so the label is one of those nearby.
    grid, nearby, around = pixel_grid((48, 64), (15, 20)), np.zeros((15, 20), bool), range(-3, 4)
    for shifted in (np.roll(whole.label, (a, b), (0, 1)) for a in around for b in around):
        nearby |= small.label == grid.of(shifted)
    assert nearby.mean() > 0.97


def test_some_pixels_are_labelled_and_some_are_not(loaded: Loaded) -> None:
    """Otherwise the other tests would compare empty label images."""
    [result] = loaded.segment(words(*loaded.family.names(3)), blots())
    assert 0.02 < (result.label > 0).mean() < 0.98


def test_the_same_image_twice_gives_the_same_segmentation(loaded: Loaded) -> None:
    vocabulary = words(*loaded.family.names(3))
    [first], [second] = loaded.segment(vocabulary, blots()), loaded.segment(vocabulary, blots())
    assert np.array_equal(first.label, second.label)
    assert np.array_equal(first.confidence, second.confidence)


def test_a_batch_gives_what_its_images_give_one_by_one(loaded: Loaded) -> None:
    vocabulary = words(*loaded.family.names(4))
    images = [blots(48, 64, 1), blots(90, 40, 2), blots(48, 64, 3)]
    together = loaded.segment(vocabulary, *images)
    assert len(together) == 3
    for result, image in zip(together, images, strict=True):
        [alone] = loaded.segment(vocabulary, image)
        assert_same_segmentation(result, alone)
        assert_same_instances(loaded.clear_instances(result), loaded.clear_instances(alone))


def test_per_image_threads_give_what_one_image_after_the_other_gives(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocabulary = words(*loaded.family.names(4))
    images = [blots(48, 64, 1), blots(90, 40, 2), blots(48, 64, 3)]
    encoded, sizes = loaded.segmenter.encode(vocabulary), ((15, 20), (9, 4), (48, 64))
    small = Batch(tuple(images), vocabulary.thresholds(loaded.family.threshold), sizes)
    expected_small = loaded.segmenter.segment(small, encoded)
    expected = [loaded.segment(vocabulary, image)[0] for image in images]
    monkeypatch.setattr(loaded.segmenter, "_per_image_threads", OneCoreThreads(2))
    for result, alone in zip(loaded.segment(vocabulary, *images), expected, strict=True):
        assert_same_segmentation(result, alone)
    in_threads = loaded.segmenter.segment(small, encoded)
    for result, alone in zip(in_threads, expected_small, strict=True):
        assert_same_segmentation(result, alone)


def test_further_vocabularies_on_kept_images_give_what_they_give_alone(loaded: Loaded) -> None:
    """No vocabulary may change the encoding that those after it use."""
    names = loaded.family.names(4)
    vocabularies = words(*names), words(*names[:2]), words(*names)
    images = blots(48, 64, 1), blots(90, 40, 2)
    alone = [loaded.segment(vocabulary, *images) for vocabulary in vocabularies]
    with keeping_images() as kept:
        together = [loaded.segment(vocabulary, *images) for vocabulary in vocabularies]
    assert kept.encoded > 0 and kept.reused == 2 * kept.encoded
    for results, expected in zip(together, alone, strict=True):
        for result, one in zip(results, expected, strict=True):
            assert_same_segmentation(result, one)
            assert_same_instances(result.instances or (), one.instances or ())
    assert_same_segmentation(loaded.segment(vocabularies[0], *images)[0], alone[0][0])
    assert kept.reused == 2 * kept.encoded


def test_the_order_of_classes_does_not_change_the_labels(loaded: Loaded) -> None:
    names = loaded.family.names(4)
    forwards = words(*names)
    backwards = forwards.changed_to(TargetClass(name) for name in reversed(names))
    assert forwards.ids == tuple(reversed(backwards.ids))
    [first], [second] = loaded.segment(forwards, blots()), loaded.segment(backwards, blots())
    assert same_label(first, second) > 0.99


def test_a_class_does_not_depend_on_the_presence_of_others(loaded: Loaded) -> None:
    if loaded.family.fused:
        pytest.skip(
            "all classes are encoded together; the family's own test measures how much that changes"
        )
    names = loaded.family.names(5)
    everything = words(*names)
    [together] = loaded.segment(everything, blots())
    for name, class_id in zip(everything.names, everything.ids, strict=True):
        [alone] = loaded.segment(words(name), blots())
        if together.instances is not None and alone.instances is not None:
            clear = loaded.clear_instances(together)
            of_class = [detected for detected in clear if detected.class_id == class_id]
            assert_same_instances(of_class, loaded.clear_instances(alone))
        # Pixels of the class among others are its pixels alone; the rest belong to a more confident class.
        kept = together.label == class_id
        assert (alone.label[kept] > 0).mean() > 0.99 if kept.any() else True
        lost = (alone.label > 0) & ~kept
        higher = together.confidence[lost].astype(int) >= alone.confidence[lost].astype(int) - 1
        assert higher.mean() > 0.99 if lost.any() else True


def assert_same_instances(first: list[DetectedObject], second: list[DetectedObject]) -> None:
    """Compare scores and areas within rounding errors; equal scores may come in any order."""
    assert len(first) == len(second)
    for instance in first:
        same_score = [other for other in second if abs(other.score - instance.score) <= 1e-4]
        assert any(abs(other.area - instance.area) <= 1 + 0.01 * other.area for other in same_score)


def test_an_empty_vocabulary_labels_nothing(loaded: Loaded) -> None:
    for result in loaded.segment(words(), blots(), blots(20, 30)):
        assert not result.label.any() and not result.confidence.any()
        assert not result.instances


def test_a_threshold_that_no_pixel_reaches_labels_nothing(loaded: Loaded) -> None:
    [result] = loaded.segment(words(*loaded.family.names(3)), blots(), threshold=1.0)
    assert not result.label.any()
    check(result, (48, 64), (1, 2, 3))


@pytest.mark.parametrize("count", [1, 8, 64])
def test_any_number_of_classes_is_segmented(loaded: Loaded, count: int) -> None:
    vocabulary = words(*loaded.family.names(count))
    if not loaded.family.classes:
        assert len(vocabulary.classes) == count
    [result] = loaded.segment(vocabulary, blots())
    check(result, (48, 64), vocabulary.ids)


def test_ids_above_254_need_16_bits(loaded: Loaded) -> None:
    vocabulary = Vocabulary()
    for number in range(30):  # ids of removed names are not given again
        vocabulary = vocabulary.changed_to(TargetClass(f"{number} {i}") for i in range(9))
    vocabulary = vocabulary.changed_to(TargetClass(name) for name in loaded.family.names(2))
    [result] = loaded.segment(vocabulary, blots())
    check(result, (48, 64), vocabulary.ids)
    assert result.label.dtype == np.uint16 and result.label.any()


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_is_close_to_single(loaded: Loaded, precision: str) -> None:
    if loaded.family.engine != "torch":
        pytest.skip("exports are in fp32 and int8")
    half = load_segmenter(loaded.model, LoadOptions(device="cpu", precision=precision))
    vocabulary = words(*loaded.family.names(3))
    [expected] = loaded.segment(vocabulary, blots())
    [result] = Loaded(loaded.family, loaded.model, half).segment(vocabulary, blots())
    check(result, (48, 64), vocabulary.ids)
    assert same_label(expected, result) > loaded.family.half_agreement


@pytest.mark.gpu
def test_gpu_and_cpu_agree(loaded: Loaded) -> None:
    options = LoadOptions(device="cuda", precision="fp32")
    gpu = Loaded(loaded.family, loaded.model, load_segmenter(loaded.model, options))
    vocabulary = words(*loaded.family.names(3))
    [expected], [result] = (each.segment(vocabulary, blots()) for each in (loaded, gpu))
    assert same_label(expected, result) > 0.98


@pytest.mark.gpu
def test_gpu_memory_does_not_grow(loaded: Loaded) -> None:
    gpu = Loaded(loaded.family, loaded.model, load_segmenter(loaded.model, LoadOptions("cuda")))
    vocabulary = words(*loaded.family.names(3))

    def used_after(frames: int) -> int:
        for number in range(frames):
            gpu.segment(vocabulary, blots(seed=number % 10))
        torch.cuda.synchronize()
        return torch.cuda.memory_allocated()

    assert used_after(100) == used_after(1000)


def test_prompts_that_were_encoded_before_run_no_network(loaded: Loaded) -> None:
    names = loaded.family.names(10)
    first = loaded.segmenter.encode(words(*names))
    runs: list[str] = []
    hook = register_module_forward_hook(lambda layer, *_: runs.append(type(layer).__name__))
    again = loaded.segmenter.encode(words(*names))
    hook.remove()
    assert runs == []
    batch = Batch((blots(),), words(*names).thresholds(loaded.family.threshold))
    [expected], [result] = (loaded.segmenter.segment(batch, encoded) for encoded in (first, again))
    assert np.array_equal(result.label, expected.label)
    assert first.warnings == again.warnings


def test_loading_and_inference_open_no_socket(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr("socket.socket.__init__", no_network)
    monkeypatch.setattr("socket.getaddrinfo", no_network)
    again = Loaded(
        loaded.family, loaded.model, load_segmenter(loaded.model, family_options(loaded.family))
    )
    [result] = again.segment(words(*loaded.family.names(2)), blots())
    check(result, (48, 64), (1, 2))


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


DAMAGE = {
    "weights cut off": cut_off,
    "weights missing": Path.unlink,
    "weights are no safetensors": partial(Path.write_bytes, data=b"\x80\x04pickled"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_damaged_weights_are_one_sentence(loaded: Loaded, damage: object, tmp_path: Path) -> None:
    assert callable(damage)
    model = loaded.family.write(tmp_path)
    for file in sorted(tmp_path.rglob("*.safetensors")):
        before = file.read_bytes()
        damage(file)
        with pytest.raises(ModelError) as refused:
            load_segmenter(model, family_options(loaded.family))
        assert "\n" not in str(refused.value) and str(file.parent) in str(refused.value)
        file.write_bytes(before)


def example_of(name: str, *prompts: str, count: int = 1) -> TargetClass:
    """Return a class with example images whose upper left quarter is marked."""
    mask = np.zeros((40, 40), np.bool_)
    mask[:20, :20] = True
    examples = tuple(Exemplar(blots(40, 40, seed), mask) for seed in range(count))
    return TargetClass(name, prompts, exemplars=examples)


def test_example_images_are_used_or_refused_in_one_sentence(loaded: Loaded) -> None:
    [name] = loaded.family.names(1)
    for target in (
        TargetClass(name, exemplars=(Exemplar(blots(40, 40)),)),
        example_of(name, count=2),
        example_of(name, name),
    ):
        vocabulary = Vocabulary().changed_to([target])
        if loaded.family.exemplars:
            for result in loaded.segment(vocabulary, blots(), blots(37, 90)):
                check(result, result.label.shape, vocabulary.ids)
            continue
        with pytest.raises(VocabularyError) as refused:
            loaded.segmenter.encode(vocabulary)
        reason = str(refused.value)
        assert "\n" not in reason and repr(name) in reason
        assert all(family in reason for family in ("CLIPSeg", "TIPSv2", "tabletop"))


Kind = Callable[[Loaded], tuple[Segmentation, tuple[int, ...]]]
"""Segments an image by one kind of prompt. Returns the segmentation and the ids that it may have."""


def by_classes(loaded: Loaded, *targets: TargetClass) -> tuple[Segmentation, tuple[int, ...]]:
    vocabulary = Vocabulary().changed_to(targets)
    return loaded.segment(vocabulary, blots())[0], vocabulary.ids


def by_negatives(loaded: Loaded) -> tuple[Segmentation, tuple[int, ...]]:
    first, second, third = loaded.family.names(3)
    return by_classes(loaded, TargetClass(first, negatives=(second,)), TargetClass(third))


def by_example(loaded: Loaded) -> tuple[Segmentation, tuple[int, ...]]:
    first, second = loaded.family.names(2)
    return by_classes(loaded, TargetClass(first), example_of(second))


def by_words_example_and_negatives(loaded: Loaded) -> tuple[Segmentation, tuple[int, ...]]:
    first, second = loaded.family.names(2)
    return by_classes(loaded, replace(example_of(first, first), negatives=(second,)))


def by_marks(loaded: Loaded, *prompts: MaskPrompt) -> tuple[Segmentation, tuple[int, ...]]:
    prompter = mask_prompter_of(loaded.segmenter)
    segmentation, vocabulary = segment_marked(prompter, blots(), prompts)
    assert segmentation.instances is not None and len(segmentation.instances) == len(prompts)
    with_pixels = tuple(each for each in segmentation.instances if each.area)
    return replace(segmentation, instances=with_pixels), vocabulary.ids


def by_point(loaded: Loaded) -> tuple[Segmentation, tuple[int, ...]]:
    return by_marks(loaded, MaskPrompt((MarkedPoint(30.5, 20.5),), class_name="part"))


def by_points_on_all_edges(loaded: Loaded) -> tuple[Segmentation, tuple[int, ...]]:
    edges = ((0, 0), (63.99, 0), (0, 47.99), (63.99, 47.99), (32, 0), (0, 24))
    return by_marks(
        loaded, *(MaskPrompt((MarkedPoint(x, y),), class_name="edge") for x, y in edges)
    )


def by_points_and_a_point_outside(loaded: Loaded) -> tuple[Segmentation, tuple[int, ...]]:
    points = MarkedPoint(30.5, 20.5), MarkedPoint(5, 5, outside=True)
    return by_marks(loaded, MaskPrompt(points, class_name="part"))


def by_box(loaded: Loaded) -> tuple[Segmentation, tuple[int, ...]]:
    boxes = Box(10, 5, 40, 30), Box(0, 0, 64, 48), Box(63, 47, 1, 1)
    return by_marks(loaded, *(MaskPrompt(box=box, class_name="part") for box in boxes))


def by_point_and_box(loaded: Loaded) -> tuple[Segmentation, tuple[int, ...]]:
    prompt = MaskPrompt((MarkedPoint(30, 20),), Box(10, 5, 40, 30), "part")
    return by_marks(loaded, prompt)


def by_everything(loaded: Loaded) -> tuple[Segmentation, tuple[int, ...]]:
    """The instances have no class and are not in the label image, so that each is checked by itself."""
    prompter = mask_prompter_of(loaded.segmenter)
    segmentation, _ = segment_everything(prompter, blots(), min_area=1, max_objects=5)
    instances = segmentation.instances
    assert instances is not None and len(instances) <= 5 and not segmentation.label.any()
    assert all(instance.class_id == 0 and instance.area for instance in instances)
    scores = [instance.score for instance in instances]
    assert scores == sorted(scores, reverse=True)
    return replace(segmentation, instances=None), ()


KINDS: dict[str, tuple[Kind, Callable[[Family], bool], str]] = {
    "negatives": (by_negatives, lambda family: not family.classes, "take the negatives out"),
    "an example": (by_example, lambda family: family.exemplars, "CLIPSeg, TIPSv2"),
    "words, an example and negatives": (
        by_words_example_and_negatives,
        lambda family: family.exemplars,
        "CLIPSeg, TIPSv2",
    ),
    **{
        kind.__name__.removeprefix("by_"): (
            kind,
            lambda family: family.mask_prompts,
            "SAM 2, EdgeTAM or SAM-HQ",
        )
        for kind in (
            by_point,
            by_points_on_all_edges,
            by_points_and_a_point_outside,
            by_box,
            by_point_and_box,
            by_everything,
        )
    },
}
"""For each kind of prompt: the call, which families take it, and what a refusal names: who can, or what to do."""


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_of_prompt_works_or_is_refused_with_what_to_do(
    loaded: Loaded, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(all_masks, "POINTS_PER_SIDE", 4)
    by_kind, takes, remedy = KINDS[name]
    if takes(loaded.family):
        segmentation, ids = by_kind(loaded)
        if segmentation.instances is None or ids:
            check(segmentation, (48, 64), ids)
        again, _ = by_kind(loaded)
        assert same_label(segmentation, again) == 1
        return
    with pytest.raises((VocabularyError, NoMaskPromptsError)) as refused:
        by_kind(loaded)
    assert remedy in str(refused.value) and "\n" not in str(refused.value)


def test_words_and_examples_of_a_class_label_at_least_what_either_labels(loaded: Loaded) -> None:
    """The maximum over all of them counts, as over several prompts."""
    if not loaded.family.exemplars:
        pytest.skip("the family takes no examples")
    [name] = loaded.family.names(1)
    if loaded.family.name.startswith("owlv2"):
        pytest.skip("boxes that overlap are one detection, whose mask is that of the higher score")
    by_words, by_example, by_both = (
        loaded.segment(Vocabulary().changed_to([target]), blots())[0]
        for target in (TargetClass(name), example_of(name), example_of(name, name))
    )
    either = (by_words.label > 0) | (by_example.label > 0)
    assert (by_both.label[either] > 0).mean() > 0.99


def test_examples_do_not_change_the_other_classes_without_them(loaded: Loaded) -> None:
    if not loaded.family.exemplars:
        pytest.skip("the family takes no examples")
    first, second, third = loaded.family.names(3)
    mixed = Vocabulary().changed_to([TargetClass(first), example_of(second), TargetClass(third)])
    [together] = loaded.segment(mixed, blots())
    for name, class_id in ((first, 1), (third, 3)):
        [alone] = loaded.segment(words(name), blots())
        kept = together.label == class_id
        assert (alone.label[kept] > 0).mean() > 0.99 if kept.any() else True
        lost = (alone.label > 0) & ~kept
        assert (together.label[lost] > 0).mean() > 0.99 if lost.any() else True
