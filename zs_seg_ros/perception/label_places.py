# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The places that one label may have: a grid of cells, and what it would cover at each of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.types import Box

_STEPS = (2, 3)
"""Rows and columns from one place to the next, for labels of more than `_SHORT` columns; 1 for shorter ones."""
_SHORT = 10


@dataclass(frozen=True, eq=False)
class Places:
    """Places of a label's upper left corner, in a regular grid of cells.

    cell: its side in pixels. size_px: (width, height) of the label. size: its rows and columns. first: the first row
    and column of a place. steps: rows and columns from one to the next. shape: numbers of rows and columns of places.
    requested: the row and column of the place that is best by itself.
    """

    cell: int
    size_px: tuple[int, int]
    size: tuple[int, int]
    first: tuple[int, int]
    steps: tuple[int, int]
    shape: tuple[int, int]
    requested: tuple[int, int]

    @classmethod
    def near(
        cls,
        near: Box,
        reach_px: int,
        requested: tuple[int, int],
        size_px: tuple[int, int],
        cell: int,
        cells: tuple[int, int],
    ) -> Places | None:
        """Return the places within reach of a box inside an image of `cells` rows and columns; None without any.

        requested: (x, y) in pixels; the nearest place to it is one of them.
        """
        steps = _STEPS if size_px[0] > _SHORT * cell else (1, 1)
        sides = (
            (near.top, near.height, requested[1], size_px[1], cells[0], steps[0]),
            (near.left, near.width, requested[0], size_px[0], cells[1], steps[1]),
        )
        axes = []
        for start, length, wish, label, count, step in sides:
            extent = -(-label // cell)
            first = max(0, (start - label - reach_px) // cell)
            last = min(count - extent, (start + length + reach_px) // cell)
            if last < first:
                return None
            best = min(max(wish // cell, first), last)
            first += (best - first) % step
            axes.append((extent, first, (last - first) // step + 1, best))
        rows, columns = axes
        size, first_place, shape, best_place = zip(rows, columns, strict=True)
        return cls(cell, size_px, size, first_place, steps, shape, best_place)

    def _offsets(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the rows and the columns of the places."""
        rows = self.first[0] + self.steps[0] * np.arange(self.shape[0], dtype=np.float64)
        columns = self.first[1] + self.steps[1] * np.arange(self.shape[1], dtype=np.float64)
        return rows, columns

    @property
    def best(self) -> Box:
        """The requested place, in pixels."""
        row, column = self.requested
        return Box(column * self.cell, row * self.cell, *self.size_px)

    def sum(self, values: NDArray[np.float64]) -> float:
        """Sum the values of the cells under the label at the requested place."""
        (row, column), (height, width) = self.requested, self.size
        return float(values[row : row + height, column : column + width].sum())

    def distances(self) -> NDArray[np.float64]:
        """Return the squared distance of each place from the requested one, in pixels."""
        rows, columns = self._offsets()
        down, across = rows - self.requested[0], columns - self.requested[1]
        squared = np.add.outer(down**2, across**2)
        return np.asarray(squared * float(self.cell**2), dtype=np.float64)

    def gaps_and_distances(self, box: Box, weight_of_distance: float) -> NDArray[np.float64]:
        """Return the squared gap between the label and a box, in pixels, plus the weighted squared distance."""
        terms = []
        for values, wish, start, length, label in zip(
            self._offsets(), self.requested, (box.top, box.left), (box.height, box.width),
            self.size_px[::-1], strict=True,
        ):  # fmt: skip
            places = values * self.cell
            gap = np.maximum(np.maximum(start - places - label, places - start - length), 0)
            terms.append(gap**2 + weight_of_distance * (places - wish * self.cell) ** 2)
        return np.asarray(np.add.outer(terms[0], terms[1]), dtype=np.float64)

    def window(
        self, values: NDArray[np.float64], origin: tuple[int, int] = (0, 0)
    ) -> NDArray[np.float64]:
        """Return the values of the cells that a label at one of the places covers; cells without a value have 0.

        origin: the row and column of the first value.
        """
        rows = (self.shape[0] - 1) * self.steps[0] + self.size[0]
        columns = (self.shape[1] - 1) * self.steps[1] + self.size[1]
        top, left = self.first[0] - origin[0], self.first[1] - origin[1]
        if min(top, left) >= 0 and top + rows <= len(values) and left + columns <= values.shape[1]:
            return values[top : top + rows, left : left + columns]
        window = np.zeros((rows, columns))
        _paste(window, values, (-top, -left))
        return window

    def sums(self, window: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum the values of a window under the label at each place."""
        total = cv2.integral(window)
        (height, width), (down, across) = self.size, self.steps
        between = total[height::down] - total[:-height:down]
        sums: NDArray[np.float64] = between[:, width::across] - between[:, :-width:across]
        return sums

    def cheapest(self, cost: NDArray[np.float64], most: int) -> Iterator[Box]:
        """Yield up to `most` places of finite cost, in pixels, the cheapest first, none beside an earlier one."""
        cost = cost.copy()
        for _ in range(most):
            row, column = divmod(int(cost.argmin()), cost.shape[1])
            if not math.isfinite(cost[row, column]):
                return
            left = (self.first[1] + self.steps[1] * column) * self.cell
            top = (self.first[0] + self.steps[0] * row) * self.cell
            yield Box(left, top, *self.size_px)
            cost[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = np.inf


def _paste(
    window: NDArray[np.float64], values: NDArray[np.float64], place: tuple[int, int]
) -> None:
    """Copy the part of `values` that is inside the window, with its first value at `place`."""
    here, there = [], []
    for start, length, extent in zip(place, values.shape, window.shape, strict=True):
        first, last = max(0, start), min(extent, start + length)
        if last <= first:
            return
        here.append(slice(first, last))
        there.append(slice(first - start, last - start))
    window[tuple(here)] = values[tuple(there)]
