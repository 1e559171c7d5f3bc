"""Names and prompts as people write them, in every script: normalised, and free of what cannot be seen."""

from __future__ import annotations

import unicodedata

_ZERO_WIDTH_NON_JOINER, _ZERO_WIDTH_JOINER = "\u200c", "\u200d"
_JOINERS = (_ZERO_WIDTH_NON_JOINER, _ZERO_WIDTH_JOINER)
"""Words of Persian and of Indic scripts, and emoji of several people, need them."""
_FLAG, _FIRST_TAG, _LAST_TAG = "\U0001f3f4", "\U000e0020", "\U000e007f"
"""Tag characters follow a flag emoji and name its region."""
_BLANK = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters and symbols of some scripts that are drawn as nothing."""
_VISIBLE = "LNPS"
_ALLOWED = _VISIBLE + "M"


def normalised(text: str) -> str:
    """Return the text in Unicode's normal form C, with single spaces: texts that look the same become the same."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def invisible_character(text: str) -> str:
    """Return the first character of a normalised text that cannot be seen; empty when there is none.

    Letters, marks, digits, punctuation and symbols of every script are visible; joiners are allowed between them.
    Control characters, characters that change the direction of reading, lone surrogates, private use and unassigned
    code points are not.
    """
    for place, character in enumerate(text):
        category = unicodedata.category(character)[0]
        if character not in _BLANK and (category in _ALLOWED or character == " "):
            continue
        if character in _JOINERS and _joins(text, place):
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


def _joins(text: str, place: int) -> bool:
    """Whether the character at this place stands between two that it can join."""
    before, after = text[place - 1 : place], text[place + 1 : place + 2]
    return all(side and unicodedata.category(side)[0] in _ALLOWED for side in (before, after))
