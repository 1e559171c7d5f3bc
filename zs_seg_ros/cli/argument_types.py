# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Argument types for argparse: each converts a text, or raises ArgumentTypeError with a sentence to print."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError

from zs_seg_ros.shown import quoted
from zs_seg_ros.vocabulary.vocabulary import TargetClass

_MOST_DIGITS = 18
"""Longer numbers fit no counter, and Python refuses to convert those of thousands of digits."""


def target_class(text: str) -> TargetClass:
    """Parse a class: "red mug", or a name with its prompts and, after a -, negatives: "mug=red mug|red cup|-jug"."""
    name, equals, entries = text.partition("=")
    if not equals:
        return TargetClass(text)
    prompts, negatives = [], []
    for entry in entries.split("|"):
        if entry.lstrip().startswith("-"):
            negatives.append(entry.lstrip()[1:])
        else:
            prompts.append(entry)
    return TargetClass(name, tuple(prompts), negatives=tuple(negatives))


def share(text: str) -> float:
    """Parse a number from 0 to 1."""
    return _number(text, 0.0, 1.0, "a number from 0 to 1")


def positive(text: str) -> float:
    """Parse a number above 0."""
    return _number(text, 1e-6, 1e9, "a number above 0")


def _number(text: str, low: float, high: float, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise ArgumentTypeError(f"{quoted(text)} is not {what}")
    return value


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) <= _MOST_DIGITS


def whole(text: str) -> int:
    """Parse an integer of at least 0."""
    if not _is_number(text):
        raise ArgumentTypeError(f"{quoted(text)} is not a whole number from 0")
    return int(text)


def count(text: str) -> int:
    """Parse an integer of at least 1."""
    if not (_is_number(text) and int(text) > 0):
        raise ArgumentTypeError(f"{quoted(text)} is not a number above 0")
    return int(text)


def input_size(text: str) -> tuple[int, int]:
    """Parse "504", or "504+512" for the two models of a pair: a number of pixels for each, 0 where it is not given."""
    first, plus, second = text.partition("+")
    return whole(first.strip()), whole(second.strip()) if plus else 0


def input_sizes(text: str) -> tuple[tuple[int, int], ...]:
    """Parse one or several of `input_size`, with commas between them."""
    return tuple(input_size(part) for part in text.split(","))


def names(text: str) -> tuple[str, ...]:
    """Parse names with commas between them; empty ones are left out."""
    return tuple(name for part in text.split(",") if (name := part.strip()))


def size(text: str) -> tuple[int, int]:
    """Parse "640x480": (width, height)."""
    width, _, height = text.partition("x")
    return count(width), count(height)
