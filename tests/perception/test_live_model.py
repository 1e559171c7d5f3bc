# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A loaded model and the vocabulary in force."""

from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from zs_seg_ros.errors import ModelNotFoundError, VocabularyError
from zs_seg_ros.perception import live_model, passed_trials
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.segmenters.base import EncodedVocabulary
from zs_seg_ros.segmenters.fake import FakeSegmenter
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.types import Batch, Segmentation
from zs_seg_ros.vocabulary.vocabulary import Exemplar, TargetClass, Vocabulary


def vocabulary_of(*names: str) -> Vocabulary:
    return Vocabulary().changed_to(TargetClass(name) for name in names)


def loaded(*names: str) -> LiveModel:
    clock = count(100)
    model = LiveModel(lambda: next(clock))
    model.load("fake", LoadOptions(), vocabulary_of(*names) if names else Vocabulary())
    return model


def test_without_first_classes_no_vocabulary_is_in_force() -> None:
    model = loaded()
    assert model.encoded is None
    assert model.vocabulary.version == 0


def test_the_first_classes_are_in_force_after_loading() -> None:
    model = loaded("red mug")
    assert model.encoded is not None
    assert model.encoded.vocabulary is model.vocabulary
    assert model.vocabulary.names == ("red mug",)
    assert model.vocabulary.stamp_ns == 100


def test_a_refused_change_leaves_vocabulary_and_embeddings_unchanged() -> None:
    model = loaded("red mug")
    vocabulary, encoded = model.vocabulary, model.encoded
    with pytest.raises(VocabularyError, match="occurs twice"):
        model.change_vocabulary([TargetClass("blue"), TargetClass("blue")])
    assert model.vocabulary is vocabulary
    assert model.encoded is encoded
    model.change_vocabulary([TargetClass("blue")])
    assert model.vocabulary.ids == (2,)


def test_an_empty_vocabulary_is_accepted_with_a_warning() -> None:
    model = loaded("red mug")
    assert model.change_vocabulary([]) == ["the vocabulary is empty: nothing will be labelled"]
    assert model.vocabulary.version == 2


def test_ids_outlive_the_model() -> None:
    model = loaded("red mug", "blue mug")
    model.free()
    assert model.segmenter is None
    model.load("fake", LoadOptions(), vocabulary_of("ignored"))
    assert model.vocabulary.names == ("red mug", "blue mug")
    model.change_vocabulary([TargetClass("blue mug"), TargetClass("green mug")])
    assert model.vocabulary.ids == (2, 3)


def test_a_change_without_a_model_is_refused() -> None:
    with pytest.raises(VocabularyError, match="configure the node first"):
        LiveModel(lambda: 0).change_vocabulary([TargetClass("red mug")])


def test_a_missing_model_leaves_nothing_loaded() -> None:
    model = LiveModel(lambda: 0)
    with pytest.raises(ModelNotFoundError, match="zs-seg fetch"):
        model.load("nobody/nothing-of-that-name", LoadOptions())
    assert model.segmenter is None


class FailsOnBlue(FakeSegmenter):
    """A model that accepts every vocabulary and fails at inference with the class 'blue'."""

    def segment(self, batch: Batch, encoded: EncodedVocabulary) -> list[Segmentation]:
        if "blue" in encoded.vocabulary.names:
            raise RuntimeError("out of memory")
        return super().segment(batch, encoded)


def test_a_first_vocabulary_that_the_model_fails_on_leaves_nothing_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_model, "load_segmenter", lambda *_: FailsOnBlue())
    with pytest.raises(RuntimeError, match="out of memory"):
        (model := LiveModel(lambda: 0)).load("fake", LoadOptions(), vocabulary_of("blue"))
    assert model.segmenter is None
    assert model.encoded is None


def test_a_vocabulary_that_the_model_fails_on_never_comes_into_force(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_model, "load_segmenter", lambda *_: FailsOnBlue())
    model = loaded("red")
    with pytest.raises(RuntimeError, match="out of memory"):
        model.change_vocabulary([TargetClass("blue")])
    assert model.vocabulary.names == ("red",)
    image = np.full((2, 2, 3), (255, 0, 0), np.uint8)
    assert model.segmenter is not None
    assert model.encoded is not None
    batch = Batch((image,), model.vocabulary.thresholds(0.5))
    assert (model.segmenter.segment(batch, model.encoded)[0].label == 1).all()


def test_a_vocabulary_whose_last_step_outlasts_the_limit_is_refused() -> None:
    model = LiveModel(lambda: 1)
    model.load("fake", LoadOptions())
    model.change_vocabulary([TargetClass("red")])
    model.segmenter = FakeSegmenter(delay_s=0.2)
    before = model.encoded
    with pytest.raises(VocabularyError, match=r"longer than vocabulary_timeout \(0\.1 s\)"):
        model.change_vocabulary([TargetClass("blue")], timeout_s=0.1)
    assert model.encoded is before and model.vocabulary.names == ("red",)
    model.change_vocabulary([TargetClass("blue")], timeout_s=30.0)
    assert model.vocabulary.names == ("blue",)


class Counted(FakeSegmenter):
    """A model that counts its inferences, and takes exemplars, which it ignores."""

    def __init__(self) -> None:
        super().__init__()
        self.inferences = 0

    def encode(self, vocabulary: Vocabulary) -> EncodedVocabulary:
        words = tuple(replace(target, exemplars=()) for target in vocabulary.classes)
        encoded = super().encode(replace(vocabulary, classes=words))
        return replace(encoded, vocabulary=vocabulary)

    def segment(self, batch: Batch, encoded: EncodedVocabulary) -> list[Segmentation]:
        self.inferences += 1
        return super().segment(batch, encoded)


class ReadsAllAsOneText(Counted):
    """A model whose results for one prompt depend on the others."""

    prompts_are_independent = False


class OnGpu(Counted):
    """A model that says that it runs on a GPU."""

    device = "cuda:0"


def trials(segmenter: Counted, *vocabularies: list[TargetClass]) -> list[int]:
    """Put vocabularies in force one after the other, and count the inferences of each change."""
    model = LiveModel(lambda: 0)
    model.segmenter = segmenter
    counts = []
    for classes in vocabularies:
        before = segmenter.inferences
        model.change_vocabulary(classes)
        assert model.vocabulary.names == tuple(target.name for target in classes)
        assert model.encoded is not None and model.encoded.vocabulary is model.vocabulary
        counts.append(segmenter.inferences - before)
    return counts


def classes(*names: str) -> list[TargetClass]:
    return [TargetClass(name) for name in names]


def test_a_vocabulary_of_known_words_is_in_force_without_a_trial() -> None:
    renamed = [
        TargetClass("cup", ("blue mug",), threshold=0.9, id=77),
        TargetClass("both", ("blue mug", "red mug")),
    ]
    first = classes("red mug", "blue mug")
    assert trials(Counted(), first, first, first[::-1], first[:1], renamed) == [1, 0, 0, 0, 0]


def test_a_new_word_beside_known_ones_gets_a_trial() -> None:
    assert trials(Counted(), classes("red"), classes("red", "blue"), classes("blue")) == [1, 1, 0]


def test_the_empty_vocabulary_gets_a_trial_each_time() -> None:
    assert trials(Counted(), [], []) == [1, 1]


def test_known_words_from_several_vocabularies_need_no_trial_together() -> None:
    many = classes(*(f"red {i}" for i in range(40))), classes(*(f"blue {i}" for i in range(24)))
    more = classes("green")
    assert trials(Counted(), *many, [*many[0], *many[1]]) == [1, 1, 0]
    assert trials(Counted(), *many, more, [*many[0], *many[1], *more]) == [1, 1, 1, 1]


def test_on_a_gpu_more_known_words_than_ever_get_a_trial_for_their_memory() -> None:
    red, blue = classes("red"), classes("blue")
    assert trials(OnGpu(), red, blue, blue + red, red + blue) == [1, 1, 1, 0]


def test_a_model_that_reads_all_words_as_one_text_gets_a_trial_for_each_combination() -> None:
    red, blue = classes("red"), classes("blue")
    changes = [red, red + blue, red, blue, blue + red, red + blue]
    assert trials(ReadsAllAsOneText(), *changes) == [1, 1, 0, 1, 1, 0]


def test_a_class_with_example_images_always_gets_a_trial() -> None:
    example = Exemplar(np.zeros((4, 4, 3), np.uint8))
    with_example = [TargetClass("red", exemplars=(example,))]
    assert trials(Counted(), with_example, with_example, classes("red")) == [1, 1, 1]


def test_words_that_failed_in_a_trial_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_model, "load_segmenter", lambda *_: FailsOnBlue())
    model = loaded("red")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="out of memory"):
            model.change_vocabulary([TargetClass("blue")])


def test_another_model_knows_no_words(monkeypatch: pytest.MonkeyPatch) -> None:
    segmenters = [Counted(), Counted()]
    monkeypatch.setattr(live_model, "load_segmenter", lambda *_: segmenters[-1])
    model = loaded("red")
    model.free()
    second = segmenters.pop()
    model.load("fake", LoadOptions())
    assert [second.inferences, segmenters[0].inferences] == [1, 1]
    model.change_vocabulary([TargetClass("red")])
    assert segmenters[0].inferences == 1


def test_only_the_last_words_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passed_trials, "_MAX_KEPT", 2)
    names = ("red", "green", "blue")
    assert trials(Counted(), *(classes(n) for n in names), classes("blue"), classes("red")) == [
        *(1, 1, 1),
        *(0, 1),
    ]
