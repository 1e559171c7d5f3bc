# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Places the labels of objects on an image: beside their objects, or as a letter with an entry in a legend.

Labels cover no other label, and at most a twentieth of other objects. Places are those of a grid of cells of a few
pixels, so that the duration hardly depends on the size of the image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.perception.label_places import Places
from zs_seg_ros.types import Box, DetectedObject

MOST_HIDDEN = 0.05
"""The share of other objects that a label may cover, summed over them."""
_MOST_CROSSED = 0.02
"""The share of other objects that a line may cover, summed over them."""
_CELLS = 110
"""Cells along the side of a square image."""
_REACH = 1 / 4
"""How far a label may be from its object, as a share of the square root of the image's area, with up to `_FEW` objects.

With more of them, lines would cross other objects anyway: the reach shrinks in proportion.
"""
_FEW = 15
_TRIES = 5
"""Places that are tried for a label."""
_COST_OF_OWN_PIXEL = 2.0
"""In squared pixels of distance."""
_LINE_INSIDE_PX = 4
_TAKEN = 1024.0
"""The value of a cell with a label or a line; far above the sum of the shares of objects in any place."""

Measure = Callable[[str], tuple[int, int]]
"""Returns width and height, in pixels, of the label with a text."""
Point = tuple[int, int]
"""(x, y), in pixels."""


@dataclass(frozen=True)
class PlacedLabel:
    """One label. index: of its object in the list.

    line: from the label's edge to a pixel of the object; None where the label touches it. in_legend: whether it is an
    entry of the legend, which begins with the letter that is on its object.
    """

    index: int
    text: str
    box: Box
    line: tuple[Point, Point] | None = None
    in_legend: bool = False


def lay_out(
    objects: Sequence[DetectedObject],
    texts: Sequence[str],
    short_texts: Sequence[str],
    size: tuple[int, int],
    measure: Measure,
) -> list[PlacedLabel]:
    """Place the labels of objects on an image of `size` (H, W); the first objects get the best places.

    A label without a place near its object gets its short text. Where that has none, a letter is on the object
    and the text in an entry of the legend, which grows upwards from the lower left corner. When the legend is full, the
    others are left out.
    """
    layout = _Layout(objects, size)
    labels: list[PlacedLabel] = []
    without: list[int] = []
    for index, (text, short) in enumerate(zip(texts, short_texts, strict=True)):
        label = layout.beside(index, text, measure(text))
        label = label or layout.beside(index, short, measure(short))
        if label:
            labels.append(label)
        else:
            without.append(index)
    bottom, letters = size[0], 0
    for index in without:
        letter = _letter(letters)
        on_object = layout.on(index, letter, measure(letter))
        if on_object is None:
            continue
        entry = f"{letter} {texts[index]}"
        in_legend = layout.in_legend(index, entry, measure(entry), bottom)
        if in_legend is None:
            layout.free(on_object)
            break
        labels += (on_object, in_legend)
        bottom = in_legend.box.top
        letters += 1
    return labels


def _letter(number: int) -> str:
    """Return A to Z, then A1 to Z1 and so on."""
    turn, place = divmod(number, 26)
    return chr(ord("A") + place) + (str(turn) if turn else "")


class _Layout:
    """Keeps the places that are taken, and those of the objects. Rows and columns are of cells."""

    def __init__(self, objects: Sequence[DetectedObject], size: tuple[int, int]) -> None:
        self._objects = objects
        self._side_px = math.sqrt(size[0] * size[1])
        self._reach_px = int(_REACH * self._side_px * min(1.0, _FEW / max(1, len(objects))))
        self._cell = max(1, round(self._side_px / _CELLS))
        self._owner = _owners(objects, size)
        self._shares = np.zeros(len(objects) + 1, np.float32)
        self._shares[1:] = [1 / max(1, detected.area) for detected in objects]
        self._blocked = self._by_cell(self._shares.take(self._owner))
        self._rows, self._columns = self._blocked.shape
        self._anchors: dict[int, Point] = {}

    def _by_cell(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Sum the values of the pixels of each whole cell."""
        rows, columns = (length // self._cell for length in values.shape)
        if not rows or not columns:
            return np.zeros((rows, columns))
        whole = values[: rows * self._cell, : columns * self._cell]
        mean = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)
        return np.asarray(mean, dtype=np.float64) * self._cell**2

    def beside(self, index: int, text: str, size_px: tuple[int, int]) -> PlacedLabel | None:
        """Take a place near an object, best above it, with a line where the label does not touch it."""
        box, (width, height) = self._objects[index].box, size_px
        above = (box.left + (box.width - width) // 2, box.top - height - 1)
        places = self._places(size_px, above, box)
        if places is None:
            return None
        best = places.best
        if not places.sum(self._blocked) and self._touches(index, best):
            return self._take(PlacedLabel(index, text, best))
        cost = places.gaps_and_distances(box, weight_of_distance=0.15)
        cost += self._cost_of_hiding(places, index, _COST_OF_OWN_PIXEL)
        for label in places.cheapest(cost, _TRIES):
            if self._touches(index, label):
                return self._take(PlacedLabel(index, text, label))
            if line := self._line(index, label):
                return self._take(PlacedLabel(index, text, label, line))
        return None

    def on(self, index: int, text: str, size_px: tuple[int, int]) -> PlacedLabel | None:
        """Take a place on an object, best at its innermost pixel."""
        (x, y), (width, height) = self._anchor(index), size_px
        box = self._objects[index].box
        places = self._places(size_px, (x - width // 2, y - height // 2), box, self._cell)
        if places is None:
            return None
        cost = places.distances() + self._cost_of_hiding(places, index, 0.0)
        for label in places.cheapest(cost, _TRIES):
            if self._touches(index, label):
                return self._take(PlacedLabel(index, text, label))
        return None

    def in_legend(
        self, index: int, text: str, size_px: tuple[int, int], bottom: int
    ) -> PlacedLabel | None:
        """Take a place for an entry of the legend, best in the left corner above `bottom`, in pixels."""
        places = self._places(size_px, (0, bottom - size_px[1]), None)
        if places is None:
            return None
        cost = places.distances() + self._cost_of_hiding(places, None, 0.0)
        for box in places.cheapest(cost, 1):
            return self._take(PlacedLabel(index, text, box, in_legend=True))
        return None

    def free(self, label: PlacedLabel) -> None:
        """Give the place of a label without a line back."""
        self._block(label.box, -_TAKEN)

    # --- their parts ---

    def _places(
        self, size_px: tuple[int, int], requested: Point, near: Box | None, reach_px: int = -1
    ) -> Places | None:
        """Return the places inside the image within reach of `near`, or all of them; None without any."""
        if near is None:
            near = Box(0, 0, self._columns * self._cell, self._rows * self._cell)
        reach_px = self._reach_px if reach_px < 0 else reach_px
        return Places.near(
            near, reach_px, requested, size_px, self._cell, (self._rows, self._columns)
        )

    def _cost_of_hiding(
        self, places: Places, index: int | None, of_own_pixel: float
    ) -> NDArray[np.float64]:
        """Return what it costs to cover objects at these places; infinity where it is not allowed."""
        window = places.window(self._blocked)
        if index is not None:
            own_px = places.window(*self._own_cells(index))
            window = window - own_px * self._shares[index + 1]
        hidden = places.sums(window)
        cost = hidden * (self._side_px**2 / 2)
        if index is not None and of_own_pixel:
            cost += of_own_pixel * places.sums(own_px)
        cost[hidden > MOST_HIDDEN] = np.inf
        return cost

    def _own_cells(self, index: int) -> tuple[NDArray[np.float64], tuple[int, int]]:
        """Return the pixels of an object in each of the cells of its box, and the first of these cells."""
        box, cell = self._objects[index].box, self._cell
        top, left = box.top // cell, box.left // cell
        bottom, right = -(-(box.top + box.height) // cell), -(-(box.left + box.width) // cell)
        crop = self._owner[top * cell : bottom * cell, left * cell : right * cell] == index + 1
        return self._by_cell(crop.astype(np.float32)), (top, left)

    def _touches(self, index: int, label: Box) -> bool:
        margin = self._cell + 2
        top, left = max(0, label.top - margin), max(0, label.left - margin)
        bottom, right = label.top + label.height + margin, label.left + label.width + margin
        return bool((self._owner[top:bottom, left:right] == index + 1).any())

    def _anchor(self, index: int) -> Point:
        if index not in self._anchors:
            self._anchors[index] = self._innermost(index)
        return self._anchors[index]

    def _innermost(self, index: int) -> Point:
        """Return the pixel of the object that is furthest from its outline; of large objects, about that."""
        box = self._objects[index].box
        crop = self._owner[box.top : box.top + box.height, box.left : box.left + box.width]
        step = max(1, max(crop.shape) // 64)
        own = (crop[::step, ::step] == index + 1).view(np.uint8)
        depth = cv2.distanceTransform(
            cv2.copyMakeBorder(own, 1, 1, 1, 1, cv2.BORDER_CONSTANT), cv2.DIST_L2, 3
        )
        row, column = divmod(int(depth.argmax()), depth.shape[1])
        if not depth[row, column]:  # all of it is covered by other objects, or between the steps
            return box.left + box.width // 2, box.top + box.height // 2
        return box.left + (column - 1) * step, box.top + (row - 1) * step

    def _line(self, index: int, label: Box) -> tuple[Point, Point] | None:
        """Return a line from a label to its object; None where it crosses another label or line, or another object."""
        end = self._anchor(index)
        start = _nearest(label, end)
        count = max(abs(end[0] - start[0]), abs(end[1] - start[1])) + 1
        xs = np.linspace(start[0], end[0], count).round().astype(np.intp)
        ys = np.linspace(start[1], end[1], count).round().astype(np.intp)
        owners = self._owner[ys, xs]
        own = np.flatnonzero(owners == index + 1)
        if not own.size:
            return None
        last = int(own[own <= own[0] + _LINE_INSIDE_PX * self._cell][-1])
        owners, end = owners[:last], (int(xs[last]), int(ys[last]))
        crossed = self._shares.take(owners[owners != index + 1]).sum() * 3
        free = crossed <= _MOST_CROSSED and not self._is_blocked(start, end)
        return (start, end) if free else None

    def _is_blocked(self, start: Point, end: Point) -> bool:
        """Return whether a line crosses a label or a line, however it is rounded to pixels."""
        line = np.linspace(start, end, max(abs(end[0] - start[0]), abs(end[1] - start[1])) + 1)
        columns, rows = (
            np.concatenate((np.floor(line), np.ceil(line))).astype(np.intp).T // self._cell
        )
        cells = rows.clip(0, self._rows - 1), columns.clip(0, self._columns - 1)
        return bool(self._blocked[cells].max() >= _TAKEN)

    def _take(self, label: PlacedLabel) -> PlacedLabel:
        self._block(label.box, _TAKEN)
        if label.line:
            (x, y), (end_x, end_y) = label.line
            count = 2 * (max(abs(end_x - x), abs(end_y - y)) // self._cell) + 2
            rows = np.linspace(y, end_y, count).astype(np.intp) // self._cell
            columns = np.linspace(x, end_x, count).astype(np.intp) // self._cell
            cells = rows.clip(0, self._rows - 1), columns.clip(0, self._columns - 1)
            self._blocked[cells] += _TAKEN
        return label

    def _block(self, box: Box, value: float) -> None:
        cell = self._cell
        bottom, right = -(-(box.top + box.height) // cell), -(-(box.left + box.width) // cell)
        self._blocked[box.top // cell : bottom, box.left // cell : right] += value


def _owners(objects: Sequence[DetectedObject], size: tuple[int, int]) -> NDArray[np.int32]:
    """Return (H, W): the index of the object that each pixel belongs to, from 1; 0 for none. Smaller ones win."""
    owner = np.zeros(size, np.int32)
    for index in sorted(range(len(objects)), key=lambda index: -objects[index].area):
        box = objects[index].box
        region = owner[box.top : box.top + box.height, box.left : box.left + box.width]
        np.copyto(region, index + 1, where=objects[index].mask)
    return owner


def _nearest(box: Box, point: Point) -> Point:
    """Return the pixel of the box that is nearest to a point."""
    x = min(max(point[0], box.left), box.left + box.width - 1)
    y = min(max(point[1], box.top), box.top + box.height - 1)
    return x, y
