# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Points and boxes of the command line: "312,88", "340,90,out=bracket" and "40,60,160,150=bracket"."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from collections.abc import Sequence
from dataclasses import dataclass, field

from zs_seg_ros.cli.argument_types import whole
from zs_seg_ros.segmenters.mask_prompts import MarkedPoint, MaskPrompt
from zs_seg_ros.shown import quoted
from zs_seg_ros.types import Box


@dataclass(frozen=True)
class Mark:
    """A point or a box, and the name of the object that it marks; empty for none."""

    name: str
    point: MarkedPoint | None = None
    box: Box | None = None


def marked_point(text: str) -> Mark:
    """Parse a point on an object, "X,Y", or one that its mask leaves out, "X,Y,out", each perhaps with "=NAME"."""
    numbers, name = _named(text)
    parts = [part.strip() for part in numbers.split(",")]
    place, outside = parts[:2], parts[2:]
    if len(place) < 2 or outside not in ([], ["out"]) or not all(map(_is_finite, place)):
        raise ArgumentTypeError(f"{quoted(text)} is not a point: write X,Y or X,Y,out in pixels")
    x, y = map(float, place)
    return Mark(name, point=MarkedPoint(x, y, outside=bool(outside)))


def marked_box(text: str) -> Mark:
    """Parse a box, "LEFT,TOP,RIGHT,BOTTOM" in pixels, the last two exclusive, perhaps with "=NAME"."""
    numbers, name = _named(text)
    wrong = ArgumentTypeError(
        f"{quoted(text)} is not a box: write LEFT,TOP,RIGHT,BOTTOM in whole pixels with LEFT < RIGHT and TOP < BOTTOM"
    )
    try:
        left, top, right, bottom = map(whole, (part.strip() for part in numbers.split(",")))
    except (ArgumentTypeError, ValueError):
        raise wrong from None
    if right <= left or bottom <= top:
        raise wrong
    return Mark(name, box=Box(left, top, right - left, bottom - top))


def _named(text: str) -> tuple[str, str]:
    numbers, _, name = text.partition("=")
    return numbers, name.strip()


def _is_finite(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


@dataclass
class _Object:
    points: list[MarkedPoint] = field(default_factory=list)
    box: Box | None = None


def mask_prompts(marks: Sequence[Mark]) -> tuple[MaskPrompt, ...]:
    """Return one prompt for each marked object, in the order of their first marks.

    Marks of one name mark one object together, and so do those without a name; each further box begins a new object.
    """
    objects: list[tuple[str, _Object]] = []
    current: dict[str, _Object] = {}
    for mark in marks:
        last = current.get(mark.name)
        if last is None or (mark.box is not None and last.box is not None):
            last = current[mark.name] = _Object()
            objects.append((mark.name, last))
        if mark.point is not None:
            last.points.append(mark.point)
        else:
            last.box = mark.box
    return tuple(MaskPrompt(tuple(each.points), each.box, name) for name, each in objects)
