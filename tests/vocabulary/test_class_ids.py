# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Class ids that callers request, beside those that the vocabulary chooses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs_seg_ros.errors import VocabularyError
from zs_seg_ros.vocabulary.class_ids import LAST_ID, NEVER_GIVEN, all_ids
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

NAMES = st.sampled_from("abcdef")
REQUESTS = st.dictionaries(NAMES, st.sampled_from([0, 0, 1, 2, 3, 254, 300]), max_size=4)


def pinned(**ids: int) -> list[TargetClass]:
    return [TargetClass(name, id=number) for name, number in ids.items()]


def test_requested_ids_are_given_and_the_others_fill_the_gaps() -> None:
    vocabulary = Vocabulary().changed_to(pinned(mug=2, duck=0, owl=9, fox=0))
    assert vocabulary.ids == (2, 1, 9, 3)


def test_a_request_goes_before_a_choice_whatever_the_order() -> None:
    assert Vocabulary().changed_to(pinned(duck=0, mug=1)).ids == (2, 1)


def test_an_id_that_another_name_had_is_refused() -> None:
    before = Vocabulary().changed_to(pinned(mug=0)).changed_to(pinned(duck=0))
    with pytest.raises(VocabularyError, match=r"'owl' requests the id 1, .*'mug'"):
        before.changed_to(pinned(owl=1))


def test_two_classes_with_one_id_are_refused() -> None:
    with pytest.raises(VocabularyError, match=r"'owl' requests the id 7, .*'mug'"):
        Vocabulary().changed_to(pinned(mug=7, owl=7))


def test_a_name_keeps_the_id_that_it_has() -> None:
    before = Vocabulary().changed_to(pinned(mug=0))
    assert before.changed_to(pinned(mug=1)).ids == (1,)
    with pytest.raises(VocabularyError, match=r"'mug' requests the id 8, and has the id 1"):
        before.changed_to(pinned(mug=8))


@pytest.mark.parametrize("number", [255, 65535, 65536, -1, 10**400])
def test_numbers_that_are_no_ids_are_refused_in_a_short_sentence(number: int) -> None:
    with pytest.raises(VocabularyError, match="1 to 65534 without 255") as refusal:
        Vocabulary().changed_to(pinned(mug=number))
    assert len(str(refusal.value)) < 300


@given(changes=st.lists(REQUESTS, max_size=5))
def test_an_id_never_changes_its_name_whatever_is_requested(changes: list[dict[str, int]]) -> None:
    given_ids: dict[str, int] = {}
    for requests in changes:
        try:
            after = all_ids(requests.items(), given_ids)
        except VocabularyError:
            continue
        assert given_ids.items() <= after.items()
        assert len(set(after.values())) == len(after)
        assert all(0 < i <= LAST_ID and i not in NEVER_GIVEN for i in after.values())
        assert all(after[name] == number for name, number in requests.items() if number)
        given_ids = after
