# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A vocabulary: what it accepts, and ids that are never reused."""

from __future__ import annotations

import dataclasses
import math
import re

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from zs_seg_ros import Exemplar, TargetClass, Vocabulary, VocabularyError
from zs_seg_ros.types import MAX_SIDE_PX
from zs_seg_ros.vocabulary.class_ids import LabelIds


def vocabulary_of(*names: str) -> Vocabulary:
    return Vocabulary().changed_to(TargetClass(name) for name in names)


def test_the_first_vocabulary_is_empty_and_has_version_0() -> None:
    assert Vocabulary().classes == ()
    assert Vocabulary().version == 0
    assert Vocabulary().thresholds(0.5).shape == (0,)


def test_ids_start_at_1_in_the_order_given_and_the_version_grows() -> None:
    vocabulary = Vocabulary().changed_to([TargetClass("duck"), TargetClass("mug")])
    assert (vocabulary.names, vocabulary.ids) == (("duck", "mug"), (1, 2))
    assert vocabulary.version == 1


def test_a_new_name_never_gets_the_id_of_one_that_is_gone() -> None:
    assert vocabulary_of("duck", "mug").changed_to([TargetClass("ball")]).ids == (3,)


def test_a_name_that_comes_back_gets_its_old_id() -> None:
    gone = vocabulary_of("duck", "mug").changed_to([TargetClass("ball")])
    back = gone.changed_to([TargetClass("star"), TargetClass("mug")])
    assert back.ids == (4, 2)


def test_an_empty_vocabulary_is_accepted_and_forgets_no_id() -> None:
    empty = vocabulary_of("duck").changed_to([])
    assert empty.version == 2
    assert empty.changed_to([TargetClass("mug"), TargetClass("duck")]).ids == (2, 1)


def test_255_is_never_given() -> None:
    vocabulary = vocabulary_of(*(f"object {number}" for number in range(300)))
    assert vocabulary.ids == (*range(1, 255), *range(256, 302))


def test_65535_is_never_given_and_the_next_name_is_refused() -> None:
    nearly_full = Vocabulary(ids_given={f"old {i}": i for i in range(1, 65534) if i != 255})
    assert nearly_full.changed_to([TargetClass("a")]).ids == (65534,)
    with pytest.raises(VocabularyError, match="no id left for 'b'"):
        nearly_full.changed_to([TargetClass("a"), TargetClass("b")])


def test_the_sentence_about_used_up_ids_names_the_file_since_a_restart_alone_does_not_help() -> (
    None
):
    full = Vocabulary(ids_given={f"old {i}": i for i in range(1, 65535) if i != 255})
    with pytest.raises(
        VocabularyError, match=r"no id left for 'a'.*take names out of 'ids'.*vocabulary_file"
    ):
        full.changed_to([TargetClass("a")])


def test_label_images_need_16_bits_from_id_256_on() -> None:
    ids = vocabulary_of(*(f"{number}" for number in range(255))).label_ids
    assert vocabulary_of(*(f"{number}" for number in range(254))).label_ids.dtype == np.uint8
    assert ids.dtype == np.uint16
    assert Vocabulary().label_ids.dtype == np.uint8
    assert ids.of_classes([2, 0]) == LabelIds((3, 1), np.dtype(np.uint16)), "one dtype for all"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (TargetClass("cup", negatives=("mug", " \t")), "a negative of class 'cup' is empty"),
        (TargetClass("cup", negatives=("jar",) * 33), "has 33 negatives; at most 32"),
        (
            TargetClass("cup", negatives=("x" * 301,)),
            "a negative of class 'cup' has 301 characters",
        ),
        (TargetClass("cup", negatives=("jar\nmug",)), "a negative of class 'cup' has a line break"),
        (TargetClass("cup", negatives=("Cup",)), "'Cup' both as a prompt and as a negative"),
        (TargetClass("cup", ("tea cup",), negatives=("jar", "tea  cup")), "'tea cup' both as"),
    ],
)
def test_a_negative_of_another_kind_is_refused(target: TargetClass, reason: str) -> None:
    with pytest.raises(VocabularyError, match=re.escape(reason)):
        Vocabulary().changed_to([target])


def test_a_name_that_is_no_prompt_may_be_a_negative() -> None:
    target = TargetClass("jar", ("glass jar",), negatives=("jar", "tea  pot"))
    [accepted] = Vocabulary().changed_to([target]).classes
    assert accepted.negatives == ("jar", "tea pot")


def test_negatives_count_as_prompts_in_all() -> None:
    many = [TargetClass(f"c {n}", negatives=tuple(f"n {i}" for i in range(24))) for n in range(81)]
    with pytest.raises(VocabularyError, match="2025 prompts, negatives and exemplars"):
        Vocabulary().changed_to(many)
    assert len(Vocabulary().changed_to(many[:80]).classes) == 80


def test_superfluous_spaces_are_removed_from_names_and_prompts() -> None:
    target = TargetClass("  red \u00a0 mug \n", (" red   cup",))
    assert Vocabulary().changed_to([target]).classes == (TargetClass("red mug", ("red cup",)),)


EXEMPLAR = Exemplar(np.zeros((4, 4, 3), np.uint8))
REFUSED = {
    "an empty name": ([TargetClass("")], "name of class 1 is empty"),
    "a name of spaces": ([TargetClass("duck"), TargetClass(" \t")], "name of class 2 is empty"),
    "an empty prompt": ([TargetClass("duck", ("",))], "prompt of class 'duck' is empty"),
    "a repeated name": ([TargetClass("duck"), TargetClass(" duck ")], "'duck' occurs twice"),
    "a name of 10,000 characters": ([TargetClass("x" * 10_000)], "10000 characters"),
    "a prompt of 10,000 characters": ([TargetClass("x", ("y" * 10_000,))], "10000 characters"),
    "a control character": ([TargetClass("du\x00ck")], "cannot be printed"),
    "two lines": (
        [TargetClass("duck\n mug")],
        "has a line break or a tab: .*classes:=.duck, mug.$",
    ),
    "half a surrogate pair": ([TargetClass("du\ud800ck")], "cannot be printed"),
    "a threshold of NaN": ([TargetClass("duck", threshold=math.nan)], "threshold .* is nan"),
    "a threshold above 1": ([TargetClass("duck", threshold=1.5)], "threshold .* is 1.5"),
    "a threshold below 0": ([TargetClass("duck", threshold=-0.1)], "threshold .* is -0.1"),
    "too many classes": ([TargetClass(f"{n}") for n in range(1001)], "1001 classes are too many"),
    "too many prompts": ([TargetClass("duck", ("a duck",) * 33)], "33 prompts"),
    "too many exemplars": ([TargetClass("duck", exemplars=(EXEMPLAR,) * 9)], "9 exemplars"),
}


@pytest.mark.parametrize(("classes", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_an_unacceptable_vocabulary_is_refused_with_a_short_reason(
    classes: list[TargetClass], reason: str
) -> None:
    with pytest.raises(VocabularyError, match=reason) as caught:
        vocabulary_of("mug").changed_to(classes)
    assert len(str(caught.value)) < 500, "short enough for a log line"


IMAGE = np.zeros((4, 6, 3), np.uint8)
REFUSED_EXEMPLARS = {
    "a grey image": (np.zeros((4, 6), np.uint8), None, r"not \(4, 6\) and uint8"),
    "an image with alpha": (np.zeros((4, 6, 4), np.uint8), None, r"not \(4, 6, 4\)"),
    "a 16-bit image": (np.zeros((4, 6, 3), np.uint16), None, "uint16"),
    "an image without rows": (np.zeros((0, 6, 3), np.uint8), None, "not 6x0"),
    "a very long image": (np.zeros((1, MAX_SIDE_PX + 1, 3), np.uint8), None, f"to {MAX_SIDE_PX}"),
    "a mask of another size": (IMAGE, np.ones((4, 5), bool), r"\(4, 5\).*\(4, 6\).*one size"),
    "a mask with channels": (IMAGE, np.ones((4, 6, 1), bool), "one size"),
    "a mask of bytes": (IMAGE, np.ones((4, 6), np.uint8), "type bool, not uint8"),
    "an empty mask": (IMAGE, np.zeros((4, 6), bool), "mask is empty"),
    "an image of one pixel": (np.zeros((1, 1, 3), np.uint8), None, "not 1x1; give an image"),
    "an image of one row": (np.zeros((1, 640, 3), np.uint8), None, "not 640x1; give an image"),
    "a mask of one pixel": (
        IMAGE,
        np.eye(4, 6, dtype=bool)[:1].repeat(4, 0) & (np.arange(4) == 2)[:, None],
        "marks 1 of 24 pixels",
    ),
    "a mask of three pixels": (
        IMAGE,
        np.tri(4, 6, -1, dtype=bool) & (np.arange(4) == 3)[:, None],
        "marks 3 of 24 pixels",
    ),
}


@pytest.mark.parametrize(
    ("image", "mask", "reason"), REFUSED_EXEMPLARS.values(), ids=REFUSED_EXEMPLARS.keys()
)
def test_an_unusable_exemplar_is_refused(
    image: np.ndarray, mask: np.ndarray | None, reason: str
) -> None:
    with pytest.raises(VocabularyError, match=reason):
        Exemplar(image, mask)


def test_an_exemplar_may_be_small_or_very_long() -> None:
    assert Exemplar(np.zeros((2, 2, 3), np.uint8), np.ones((2, 2), bool)).mask is not None
    assert Exemplar(np.zeros((2, MAX_SIDE_PX, 3), np.uint8)).mask is None


def test_a_refused_change_uses_up_no_id_and_no_version() -> None:
    before = vocabulary_of("duck")
    with pytest.raises(VocabularyError):
        before.changed_to([TargetClass("new"), TargetClass("")])
    after = before.changed_to([TargetClass("mug")])
    assert (after.ids, after.version) == ((2,), 2)
    assert "new" not in after.ids_given


def test_the_largest_vocabulary_is_accepted() -> None:  # 2000 prompts in all
    classes = [TargetClass("x" * 290 + f"{n}", ("a duck", "a drake")) for n in range(1000)]
    assert len(Vocabulary().changed_to(classes).ids) == 1000


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
def test_thresholds_from_0_to_1_are_accepted(threshold: float) -> None:
    target = TargetClass("duck", threshold=threshold)
    assert Vocabulary().changed_to([target]).classes[0].threshold == threshold


def test_a_threshold_of_0_means_the_default() -> None:
    classes = [TargetClass("duck"), TargetClass("mug", threshold=0.25)]
    thresholds = Vocabulary().changed_to(classes).thresholds(default=0.75)
    assert thresholds.dtype == np.float32
    assert thresholds.tolist() == [0.75, 0.25]


def test_the_name_is_the_prompt_unless_there_are_prompts_or_exemplars() -> None:
    assert TargetClass("mug").effective_prompts == ("mug",)
    assert TargetClass("mug", ("cup", "beaker")).effective_prompts == ("cup", "beaker")
    assert TargetClass("mug", exemplars=(EXEMPLAR,)).effective_prompts == ()


def test_a_vocabulary_cannot_be_changed_in_place() -> None:
    vocabulary = vocabulary_of("duck")
    with pytest.raises(dataclasses.FrozenInstanceError):
        vocabulary.version = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        vocabulary.ids_given["mug"] = 9  # type: ignore[index]


class Changes(RuleBasedStateMachine):
    """Any sequence of changes, accepted and refused ones mixed."""

    def __init__(self) -> None:
        super().__init__()
        self.vocabulary = Vocabulary()
        self.first_id_of: dict[str, int] = {}
        self.accepted = 0

    @rule(names=st.lists(st.sampled_from("abcdefgh"), max_size=6, unique=True))
    def change(self, names: list[str]) -> None:
        self.vocabulary = self.vocabulary.changed_to(TargetClass(name) for name in names)
        self.accepted += 1
        assert self.vocabulary.names == tuple(names)
        for name, class_id in zip(names, self.vocabulary.ids, strict=True):
            assert self.first_id_of.setdefault(name, class_id) == class_id

    @rule(names=st.lists(st.sampled_from("abcxyz"), min_size=1, max_size=6))
    def change_with_an_empty_name_at_the_end(self, names: list[str]) -> None:
        before = self.vocabulary
        with pytest.raises(VocabularyError):
            before.changed_to(TargetClass(name) for name in [*names, ""])

    @rule(count=st.integers(200, 300))
    def use_up_many_ids(self, count: int) -> None:
        names = [f"filler {len(self.first_id_of)} {number}" for number in range(count)]
        self.change(names)

    @invariant()
    def no_id_belongs_to_two_names_and_none_is_special(self) -> None:
        given = list(self.first_id_of.values())
        assert len(set(given)) == len(given)
        assert not {0, 255, 65535} & set(given)
        assert self.vocabulary.version == self.accepted


TestChanges = Changes.TestCase
TestChanges.settings = settings(max_examples=20, stateful_step_count=12, deadline=None)
