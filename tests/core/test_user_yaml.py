# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""YAML from outside: a plain value, or one sentence, whatever the text."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from zs_seg_ros.errors import YamlError
from zs_seg_ros.user_yaml import MOST_DEPTH, MOST_NODES, parse_user_yaml

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp")))
)
plain = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text("abc: 0yn-~"), inner)
)


@given(plain)
@example(["yes", "1e-3", "0x1f", "12:30:45", "2001-01-01", "null", "~", "=", "<<", "0b_", "1_000"])
def test_what_the_dumper_writes_comes_back(value: Any) -> None:
    assert parse_user_yaml(yaml.safe_dump(value, allow_unicode=True)) == value


@given(st.text("[]{}&*!|>%@`'\",:-?#~ \n\tabc0.eE_+<=\0\x85\ud800\ufeff"))
@example("!!bool abc")
@example("0b_")
@example("0x_")
@example("._")
@example("[" * 100_000)
@example("{a: " * 100_000)
@example("- " * 100_000)
@example("? " * 10_000)
@example("1" * 10_000)
@example("1:" * 400 + "1")
@example("%YAML 9.9\n---\na")
def test_any_text_gives_a_value_or_one_short_sentence(text: str) -> None:
    sentence, value = "", None
    try:
        value = parse_user_yaml(text)
    except YamlError as error:
        sentence = str(error)
    assert len(sentence) < 200 and sentence.isprintable()
    assert value is None or isinstance(value, dict | list | str | int | float)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: &x [1]\nb: *x\n", r"line 1 has an anchor \(&\); write it out"),
        ("*x", r"line 1 has an alias \(\*\)"),
        ("!!timestamp 2001-01-01", "line 1 has the tag tag:yaml.org,2002:timestamp; leave it out"),
        ("!!int ''", "the tag"),
        ("!!python/object/apply:os.system [ls]", "the tag"),
        ("! mug", "the tag !"),
        ("\n- " + "9" * 400, "line 2 has a number of 400 characters"),
        ("[0b_]", "line 1 has the number '0b_'"),
        ("a: 1\na: 2\n", "line 2 has the key 'a' twice"),
        ("[1]: 2", "a list or mapping as a key"),
        ("a\n---\nb\n", "line 2 has a second document"),
        ("[" * (MOST_DEPTH + 1) + "]" * (MOST_DEPTH + 1), f"more than {MOST_DEPTH} levels deep"),
        ("[mug", "it is no YAML: .* in line"),
        ("\0", "it is no YAML"),
    ],
)
def test_what_is_not_plain_is_refused_with_its_line(text: str, reason: str) -> None:
    with pytest.raises(YamlError, match=reason):
        parse_user_yaml(text)


def test_more_values_than_any_vocabulary_has_are_refused() -> None:
    with pytest.raises(YamlError, match=f"more than {MOST_NODES} values"):
        parse_user_yaml("[" + "a," * MOST_NODES + "]")


def test_text_beyond_the_limit_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zs_seg_ros.user_yaml.MOST_BYTES", 1 << 20)
    with pytest.raises(YamlError, match="more than 1 MiB"):
        parse_user_yaml("ü" * (1 << 20))


def test_dates_and_merge_keys_are_text() -> None:
    assert parse_user_yaml("<<: 2001-01-01") == {"<<": "2001-01-01"}
