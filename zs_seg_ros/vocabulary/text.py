# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Names and prompts as people write them, in every script: normalised, and free of what cannot be seen."""

from __future__ import annotations

import re
import unicodedata

from zs_seg_ros.shown import is_format_of_script

_FLAG, _FIRST_TAG, _LAST_TAG = "\U0001f3f4", "\U000e0020", "\U000e007f"
"""Tag characters follow a flag emoji and name its region."""
_BLANK = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters and symbols of some scripts that are drawn as nothing."""
_VARIANTS = frozenset(map(chr, range(0xFE00, 0xFE10)))
"""Variation selectors: whether a symbol is drawn as an emoji, for example."""
_SPACES = " \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_SPACING = re.compile(f"[{_SPACES}]+")
_ENDS = re.compile(rf"^[\t\r\n{_SPACES}]+|[\t\r\n{_SPACES}]+\Z")
_VISIBLE = "LNPS"
_ALLOWED = _VISIBLE + "M"


def normalised(text: str) -> str:
    """Return the text in Unicode's normal form C, with single spaces: texts that look the same become the same.

    Line breaks and tabs are removed at the ends alone: within a text they may separate the entries of a list.
    """
    return _SPACING.sub(" ", _ENDS.sub("", unicodedata.normalize("NFC", text)))


def compared(text: str) -> str:
    """Return what is left of a text for comparison: without case, widths of letters, joiners and emoji's variants.

    Two texts with the same rest differ in a way that people hardly notice and that most text encoders do not read.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    kept = "".join(c for c in folded if unicodedata.category(c) != "Cf" and c not in _VARIANTS)
    return normalised(kept)


def entries_of(text: str) -> list[str]:
    """Split a normalised text at its line breaks and tabs; one entry where there are none."""
    lines = text.replace("\t", "\n").splitlines()
    return [entry for line in lines if (entry := normalised(line))]


def invisible_character(text: str) -> str:
    """Return the first character of a normalised text that cannot be seen; empty when there is none.

    Letters, marks, digits, punctuation and symbols of every script are visible; format characters that a script needs
    are allowed: joiners and number signs. Control characters, characters that change the direction of reading, lone
    surrogates, private use and unassigned code points are not.
    """
    for place, character in enumerate(text):
        category = unicodedata.category(character)[0]
        if character not in _BLANK and (category in _ALLOWED or character == " "):
            continue
        if is_format_of_script(text, place):
            continue
        if _FIRST_TAG <= character <= _LAST_TAG and _follows_flag(text, place):
            continue
        return character
    return ""


def has_visible_character(text: str) -> bool:
    """Whether a text holds more than spaces, marks and joiners."""
    return any(
        character not in _BLANK and unicodedata.category(character)[0] in _VISIBLE
        for character in text
    )


def _follows_flag(text: str, place: int) -> bool:
    before = text[place - 1 : place]
    return before == _FLAG or _FIRST_TAG <= before <= _LAST_TAG
