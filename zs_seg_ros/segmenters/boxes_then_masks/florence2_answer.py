# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Florence-2's answers: tokens of words and of locations, and the boxes in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BINS = 1000
"""Numbers of the locations of an axis: each is the centre of one of so many equal parts of the image."""
_CORNERS = 4


@dataclass(frozen=True)
class AnswerTokens:
    """What the ids of the tokens of an answer are; all others are words.

    locations: the number, 0..999, of each token of a location. ends: those at the start and the end of an answer, which
    mean nothing within it. markers: all other special ones.
    """

    locations: dict[int, int]
    ends: frozenset[int]
    markers: frozenset[int]


@dataclass(frozen=True)
class AnswerBox:
    """A box in an answer.

    corners: left, top, right, bottom as shares of the image, above 0 and below 1; right and bottom are larger than left
    and top. score: the geometric mean of the probabilities of its four tokens, 0..1, or NaN.
    """

    corners: tuple[float, float, float, float]
    score: float


def parse_boxes(
    answer: Sequence[int], probabilities: Sequence[float], kinds: AnswerTokens
) -> list[AnswerBox]:
    """Return the boxes of an answer: each four locations in a row after a phrase, as transformers' processor reads it.

    Locations that follow no word, up to three that are left over, and boxes without extent are no boxes. answer: ids of
    tokens. probabilities: of each of them, 0..1.
    """
    boxes = []
    after_words, run = False, list[tuple[int, float]]()
    for token, probability in [*zip(answer, probabilities, strict=True), (-1, 1.0)]:
        if token in kinds.ends:
            continue
        if token in kinds.locations:
            run.append((kinds.locations[token], probability))
            continue
        if after_words:
            boxes += _boxes_in_run(run)
        after_words, run = token not in kinds.markers, []
    return boxes


def _boxes_in_run(run: Sequence[tuple[int, float]]) -> list[AnswerBox]:
    boxes = []
    for start in range(0, len(run) - _CORNERS + 1, _CORNERS):
        numbers, probabilities = zip(*run[start : start + _CORNERS], strict=True)
        left, top, right, bottom = ((number + 0.5) / BINS for number in numbers)
        if left < right and top < bottom:
            product = 1.0
            for probability in probabilities:
                product *= probability
            boxes.append(AnswerBox((left, top, right, bottom), product ** (1 / _CORNERS)))
    return boxes


def repeating(answer: Sequence[int], length: int) -> set[int]:
    """Return the tokens that would end an answer on `length` tokens in a row that it has already; none for length 0."""
    if length < 1 or len(answer) < length:
        return set()
    last = tuple(answer[len(answer) - length + 1 :])
    starts = range(len(answer) - length + 1)
    return {answer[i + length - 1] for i in starts if tuple(answer[i : i + length - 1]) == last}
