# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Escaping and shortening of untrusted text for one line of a log, a diagnostic, a terminal or a page."""

from __future__ import annotations

import traceback
import unicodedata
from pathlib import PurePath

_MOST_BITS = 256
_MOST_CAUSES, _MOST_FRAMES = 4, 30
_NON_JOINER, _JOINER = "\u200c", "\u200d"
_VIRAMA = 9  # Unicode's combining class of the signs that suppress a vowel
_MONGOLIAN_VOWEL_SEPARATOR = "\u180e"
_SIGNS = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u08e2"  # Arabic: above or around numbers
    "\u070f\u0890\u0891\U000110bd\U000110cd"  # Syriac, Coptic in Arabic letters, Kaithi
)
"""Signs that are drawn, though Unicode counts them as format characters (Prepended_Concatenation_Mark)."""


def shown(value: object, limit: int = 80) -> str:
    r"""Clean and shorten a value from outside: one printable line of at most `limit` characters (1 or more).

    Characters that move the cursor, change colours, end the line or turn the direction of reading are written as
    escapes (`\x1b`, `\n`, `\u202e`), so that nothing can forge a line of a log. Lists, mappings and long numbers are
    named, not written out: a few hundred bytes of YAML can stand for gigabytes.
    """
    text = _text(value, limit)
    start = text[: limit + 1]
    cleaned = "".join(
        c if c.isprintable() or is_format_of_script(start, place) else _escape(c)
        for place, c in enumerate(start)
    )
    if len(cleaned) <= limit:
        return cleaned
    return cleaned[: limit - 1] + "…"


def quoted(value: object, limit: int = 80) -> str:
    """Return the value as `shown` does, in quotes if it is text, so that spaces at its ends are visible."""
    text = shown(value, limit)
    return f"'{text}'" if isinstance(value, str | bytes | PurePath) else text


def described(error: BaseException, limit: int = 300) -> str:
    """Return the type and the text of an exception of another library: its text may hold what came from outside."""
    text = shown(error, limit)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def traced(error: BaseException) -> str:
    """Return the traceback of an exception and of those that led to it, for a log.

    Every frame and every exception is one indented, printable line, so that the text of an exception cannot end a line
    and forge the next one, as it can in the output of Python's `traceback`.
    """
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and len(chain) < _MOST_CAUSES:
        chain.append(following)
        suppressed = following.__suppress_context__
        following = following.__cause__ or (None if suppressed else following.__context__)
    lines = ["Traceback (most recent call last):"]
    for link in reversed(chain):
        for frame in traceback.extract_tb(link.__traceback__, -_MOST_FRAMES):
            place = f"{quoted(frame.filename, 200)}, line {frame.lineno}, in {shown(frame.name)}"
            lines.append(f"  {place}: {shown(frame.line or '', 120)}")
        lines.append(f"  {described(link)}")
    return "\n".join(lines)


def is_format_of_script(text: str, place: int) -> bool:
    """Return whether the character at `place` is a format character that the words around it need.

    These are number signs of Arabic, Syriac and Indic scripts, and joiners: between two visible characters, as in
    Persian, Indic scripts and emoji of several people; at the end of a word after a virama, or, for the zero-width
    joiner, after an Arabic letter; the vowel separator between Mongolian letters.
    """
    character = text[place]
    if character in _SIGNS:
        return True
    before, after = text[max(0, place - 1) : place], text[place + 1 : place + 2]
    if character == _MONGOLIAN_VOWEL_SEPARATOR:
        return all("\u1820" <= side <= "\u18aa" for side in (before, after))
    if character not in (_NON_JOINER, _JOINER) or not _is_visible(before):
        return False
    if after and after != " ":
        return _is_visible(after)
    is_arabic = unicodedata.bidirectional(before) == "AL"
    return unicodedata.combining(before) == _VIRAMA or (is_arabic and character == _JOINER)


def _is_visible(character: str) -> bool:
    return bool(character) and character.isprintable() and character != " "


def _text(value: object, limit: int) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray):
        return bytes(value[: 4 * limit + 4]).decode("utf-8", "replace")
    if isinstance(value, bool | float | None | PurePath | BaseException):
        return str(value)
    if isinstance(value, int):
        bits = value.bit_length()
        return str(value) if bits <= _MOST_BITS else f"a number of {bits} bits"
    if isinstance(value, list | tuple | set | frozenset):
        return f"a list of {len(value)} entries"
    if isinstance(value, dict):
        return f"a mapping of {len(value)} entries"
    return f"a value of type {type(value).__name__}"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
