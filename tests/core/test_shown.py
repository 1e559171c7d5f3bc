# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Text from outside is shown as one short, printable line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs_seg_ros.shown import quoted, shown, traced

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(anything, st.integers(1, 200))
def test_whatever_the_value_it_is_one_printable_line_within_the_limit(
    value: object, limit: int
) -> None:
    text = shown(value, limit)
    assert text.isprintable()
    assert len(text) <= limit


@given(st.text(st.characters(whitelist_categories=("L", "N", "P")), max_size=80))
def test_words_of_any_language_are_not_changed(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("rgb8\x1b[31m", "rgb8\\x1b[31m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("mug\n[ERROR] [zs_seg]: gone", "mug\\n[ERROR] [zs_seg]: gone"),
        ("a\r\u2028\u2029\x85b", "a\\r\\u2028\\u2029\\x85b"),
        ("\u202egum\u2066", "\\u202egum\\u2066"),
        ("\ud800", "\\ud800"),
        (b"\xffmug\n", "\ufffdmug\\n"),
    ],
)
def test_escapes_line_ends_and_turned_text_are_visible(text: str | bytes, cleaned: str) -> None:
    assert shown(text) == cleaned


def test_long_text_is_cut_and_marked() -> None:
    assert shown("x" * 100, 10) == "xxxxxxxxx…"
    assert shown("\n" * 100, 10) == "\\n\\n\\n\\n\\…"
    assert shown("x" * 10, 10) == "x" * 10


def test_five_megabytes_cost_no_more_than_a_line() -> None:
    for value in ("\x1b" * 5_000_000, b"\x1b" * 5_000_000, 10**100_000):
        assert len(shown(value)) <= 80


def test_a_structure_whose_text_would_take_gigabytes_is_named_only() -> None:
    bomb: object = "mug"
    for _ in range(40):
        bomb = [bomb, bomb]
    assert shown(bomb) == "a list of 2 entries"
    assert shown({"bomb": bomb}) == "a mapping of 1 entries"
    assert shown(10**4000) == "a number of 13288 bits"
    assert shown(object()) == "a value of type object"


def test_quotes_are_for_text_alone() -> None:
    assert quoted("mug\n") == "'mug\\n'"
    assert quoted(Path("mug")) == "'mug'"
    assert quoted(0.5) == "0.5"
    assert quoted(ValueError("no mug")) == "no mug"


def test_a_traceback_names_frames_and_causes_and_its_lines_cannot_be_forged() -> None:
    forged = "gone\n[ERROR] [zs_seg]: forged\x1b[2J" + "x" * 5_000_000
    try:
        try:
            raise KeyError(forged)
        except KeyError as error:
            raise ValueError(forged) from error
    except ValueError as error:
        text = traced(error)
    first, *lines = text.split("\n")
    assert first == "Traceback (most recent call last):"
    assert len(text) < 3000
    assert all(line.startswith("  ") and line.isprintable() for line in lines)
    assert [line.split(":")[0] for line in lines if "Error: " in line] == [
        "  KeyError",
        "  ValueError",
    ]
    assert sum("test_shown.py" in line for line in lines) == 2
