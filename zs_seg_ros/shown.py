"""Escaping and shortening of untrusted text for one line of a log, a diagnostic, a terminal or a page."""

from __future__ import annotations

from pathlib import PurePath

_MOST_BITS = 256
_JOINERS = "\u200c\u200d"


def shown(value: object, limit: int = 80) -> str:
    """Clean and shorten a value from outside: one printable line of at most `limit` characters (1 or more).

    Characters that move the cursor, change colours, end the line or turn the direction of reading are written as
    escapes (`\\x1b`, `\\n`, `\\u202e`), so that nothing can forge a line of a log. Lists, mappings and long numbers are
    named, not written out: a few hundred bytes of YAML can stand for gigabytes.
    """
    text = _text(value, limit)
    start = text[: limit + 1]
    cleaned = "".join(
        c if c.isprintable() or _joins(start, place) else _escape(c)
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


def _joins(text: str, place: int) -> bool:
    """Whether a character is a joiner between two visible ones, as words of many scripts and emoji have them."""
    sides = text[max(0, place - 1) : place] + text[place + 1 : place + 2]
    return text[place] in _JOINERS and len(sides) == 2 and sides.isprintable() and " " not in sides


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
