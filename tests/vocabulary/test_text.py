# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Names and prompts of every script are accepted; what cannot be seen is not."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs_seg_ros.errors import VocabularyError
from zs_seg_ros.shown import quoted
from zs_seg_ros.vocabulary.text import normalised
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

WRITTEN = {
    "Hindi with a joiner": "क्\u200dष",
    "Persian with a non-joiner": "می\u200cخواهم",
    "Arabic": "كوب أحمر",
    "an Arabic number sign": "\u0600\u0661\u0662",
    "a year in Arabic": "كوب \u0601\u0662\u0660\u0662\u0666",
    "the end of an Arabic verse": "\u06dd\u0661",
    "an Arabic abbreviation that ends in a joiner": "سنة \u0647\u200d",
    "Syriac with an abbreviation mark": "\u070f\u0729\u0712",
    "Malayalam that ends in a joiner": "അവന\u0d4d\u200d",
    "Malayalam with a joiner before a space": "അവന\u0d4d\u200d കപ്പ്",
    "Bengali that ends in a non-joiner": "\u0989\u09a4\u09cd\u200c",
    "Sinhala": "ශ\u0dca\u200dරී",
    "Kaithi with a number sign": "\U000110bd\U000110a7",
    "Mongolian with a vowel separator": "\u182a\u1820\u180e\u1820",
    "Thai": "แก้วสีแดง",
    "Tamil": "சிவப்பு குவளை",
    "Chinese": "红色的杯子",
    "Korean": "빨간 머그잔",
    "a family of emoji": "👨\u200d👩\u200d👧",
    "an emoji with a skin tone": "👍🏽",
    "an emoji with a variation selector": "❤\ufe0f",
    "a flag": "🇩🇪",
    "a flag with tags": "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "signs": '50 % off-white (matt) №7 – ½"',
}
REFUSED = {
    "a control character": "du\x07ck",
    "an escape sequence": "\x1b[31mduck",
    "a right-to-left override": "duck\u202e",
    "a left-to-right mark": "duck\u200e",
    "an Arabic letter mark": "كوب\u061c",
    "a Mongolian vowel separator in Latin": "du\u180eck",
    "a non-joiner after an Arabic letter at the end": "كوب\u200c",
    "an invisible times": "2\u20623",
    "a unit separator": "red\u001fmug",
    "a unit separator at the end": "mug\u001f",
    "a line separator at the end": "mug\u2028",
    "a bidirectional isolate": "\u2066duck",
    "a zero-width space": "du\u200bck",
    "a byte order mark": "\ufeffduck",
    "a soft hyphen": "du\u00adck",
    "half a surrogate pair": "du\ud800ck",
    "private use": "du\ue000ck",
    "an unassigned code point": "du\u0378ck",
    "a joiner at the end": "duck\u200d",
    "a joiner at the start": "\u200dduck",
    "a joiner beside a space": "red \u200dduck",
    "two joiners": "du\u200d\u200dck",
    "tags after a space": "flag \U000e0067",
    "tags after a letter": "a\U000e0041b",
    "a Hangul filler": "a\u3164b",
    "an empty braille cell": "a\u2800b",
}
EMPTY = {
    "nothing": "",
    "spaces": "  \u00a0\u2003 ",
    "a mark alone": "\u0301",
    "a joiner alone": "\u200d",
    "a filler alone": "\u3164",
}


def named(name: str) -> Vocabulary:
    return Vocabulary().changed_to([TargetClass(name)])


@pytest.mark.parametrize("name", WRITTEN.values(), ids=WRITTEN.keys())
def test_names_of_every_script_are_accepted_unchanged(name: str) -> None:
    assert named(name).names == (unicodedata.normalize("NFC", name),)
    assert Vocabulary().changed_to([TargetClass("x", (name,))]).classes[0].prompts


@pytest.mark.parametrize("name", REFUSED.values(), ids=REFUSED.keys())
def test_characters_that_cannot_be_seen_are_refused_by_their_number(name: str) -> None:
    with pytest.raises(
        VocabularyError, match=r"U\+[0-9A-F]{4,6}, which cannot be printed"
    ) as raised:
        named(name)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("name", EMPTY.values(), ids=EMPTY.keys())
def test_a_name_without_anything_to_see_is_empty(name: str) -> None:
    with pytest.raises(VocabularyError, match="is empty"):
        named(name)


def test_names_that_look_the_same_are_the_same() -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    with pytest.raises(VocabularyError, match="occurs twice"):
        Vocabulary().changed_to([TargetClass(composed), TargetClass(decomposed)])
    assert named(decomposed).names == (composed,)


CHARACTERS = st.characters() | st.sampled_from(
    [
        c
        for c in map(chr, range(0x110000))
        if unicodedata.category(c) in ("Cf", "Cc", "Zl", "Zp", "Zs")
    ]
)
TURN_THE_DIRECTION = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@given(st.text(CHARACTERS, max_size=40))
def test_any_text_is_accepted_as_it_looks_or_refused(text: str) -> None:
    try:
        [name] = named(text).names
    except VocabularyError:
        return
    assert name == normalised(text) == normalised(name)
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn", "Zl", "Zp") for c in name)
    assert not set(name) & set(TURN_THE_DIRECTION)
    assert name.replace(" ", "") == "".join(unicodedata.normalize("NFC", text).split())
    assert "\\u" not in quoted(name, 300) or "\\u" in name or max(name) >= "\U000e0020"


@pytest.mark.parametrize("break_", ["\n", "\r\n", "\t", "\u2028", "\u2029", "\x1c", "\x0b", "\x85"])
def test_a_name_of_several_lines_is_refused_with_the_list_to_give(break_: str) -> None:
    with pytest.raises(
        VocabularyError, match=r"a line break or a tab.*classes:=\[red duck, white mug\]"
    ):
        named(f"red duck{break_}white mug")
    with pytest.raises(VocabularyError, match="a prompt of class 'duck' has a line break or a tab"):
        Vocabulary().changed_to([TargetClass("duck", (f"red{break_}duck",))])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\t", " "])
def test_line_breaks_around_a_name_are_removed(end: str) -> None:
    assert named(f"{end}red mug{end}").names == ("red mug",)


def test_a_name_that_was_saved_in_another_form_keeps_its_id() -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    restored = Vocabulary.restored([TargetClass(composed)], {decomposed: 7}, 3)
    assert restored.ids == (7,)
    with pytest.raises(VocabularyError, match="occurs twice"):
        Vocabulary.restored([TargetClass(composed)], {decomposed: 7, composed: 8}, 3)


@pytest.mark.parametrize("name", WRITTEN.values(), ids=WRITTEN.keys())
def test_names_are_shown_as_they_are_written(name: str) -> None:
    if "\U000e0067" not in name:  # tags are shown by their numbers
        assert quoted(name, 300) == f"'{name}'"
