"""A loaded model and the vocabulary in force."""

from itertools import count

import numpy as np
import pytest

from zs_seg_ros.errors import ModelNotFoundError, VocabularyError
from zs_seg_ros.perception import live_model
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.segmenters.base import EncodedVocabulary
from zs_seg_ros.segmenters.fake import FakeSegmenter
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.types import Batch, Segmentation
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary


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
