# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The functions of `src/`, which is compiled with the package by colcon: what goes over all pixels of a frame.

Without them, as after `pip install`, their callers do the same in Python, in about twice the time.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from ctypes import c_float, c_int32, c_int64, c_void_p
from functools import lru_cache
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.shown import described

FILE = Path(__file__).with_name("_zs_seg_kernels.so")
VARIABLE = "ZS_SEG_KERNELS"
"""The environment variable that leaves them out where it is `off`."""
NOT_BUILT = "not built"

Pixels = NDArray[Any]
Runs = NDArray[np.void]
"""(R,) of `RUN`."""
Components = NDArray[np.void]
"""(C,) of `COMPONENT`, in the order of their first pixels."""

RUN = np.dtype([(name, np.int32) for name in ("row", "start", "end", "component")])
"""`run_t` of src/objects.c."""
COMPONENT = np.dtype(
    [
        *((name, np.int64) for name in ("area", "confidence")),
        *((name, np.int32) for name in ("id", "left", "top", "right", "bottom", "unused")),
    ]
)
"""`component_t` of src/objects.c: sums over a component, its class id, and its bounding box with exclusive ends."""

LARGEST_LOGIT = 1e4
"""Stands for infinity, and its negative for minus infinity and NaN: interpolation would spread those to neighbours."""

MOST_PIXELS = 2**31 - 1
"""The largest number of pixels of a label image: runs are counted in 32 bits."""
_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "normalise": (None, (c_void_p, c_int32, c_int64, *[c_void_p] * 3)),
    "resize": (c_int32, (*[c_void_p] * 6, c_int64)),
    "label": (
        c_int32,
        (c_void_p, *[c_int32] * 3, c_void_p, c_void_p, *[c_int32] * 3, *[c_void_p] * 3),
    ),
    "confidence": (None, (c_void_p, c_void_p, c_int32, c_int64, c_void_p)),
    "most_runs": (c_int64, (c_void_p, *[c_int32] * 3)),
    "components": (c_int32, (c_void_p, c_int32, c_void_p, *[c_int32] * 2, *[c_void_p] * 3)),
    "masks": (None, (c_void_p, c_int32, *[c_void_p] * 3)),
    "run_lengths": (None, (c_void_p, c_void_p, c_int32, c_void_p, c_void_p)),
    "warp": (
        c_int32,
        (
            *(c_void_p, c_int32, c_void_p, c_int32, c_int32, c_void_p, c_void_p, c_void_p),
            *(c_float, c_void_p, c_void_p),
        ),
    ),
    "reproject": (c_int32, (c_void_p, c_void_p, c_int32, c_int32, *[c_void_p] * 10)),
}
"""The type of the result, and those of the arguments."""


@lru_cache(maxsize=1)
def load_kernels() -> Kernels | str:
    """Return the compiled functions, or as a text why there are none."""
    if os.environ.get(VARIABLE, "").lower() == "off":
        return f"{VARIABLE} is off"
    if not FILE.exists():
        return NOT_BUILT
    try:
        return Kernels(FILE)
    except (OSError, AttributeError) as error:  # of another processor, or of another version
        return f"{FILE} cannot be used: {described(error)}"


def compiled_kernels() -> Kernels | None:
    """Return the compiled functions; None where there are none."""
    kernels = load_kernels()
    return kernels if isinstance(kernels, Kernels) else None


def finite_logits(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return logits of any shape without NaN and infinities."""
    return np.nan_to_num(logits, nan=-LARGEST_LOGIT, posinf=LARGEST_LOGIT, neginf=-LARGEST_LOGIT)


class Kernels:
    """The functions of one library. Thread-safe; other threads of Python run meanwhile.

    Label images (H, W) are uint8 or uint16. Arrays may have any strides.
    """

    def __init__(self, file: Path) -> None:
        """Load a library. Raises OSError when that fails, AttributeError when it lacks a function."""
        self.library = ctypes.CDLL(str(file))
        self._functions = {name: getattr(self.library, f"zs_seg_{name}") for name in _FUNCTIONS}
        for name, (result, arguments) in _FUNCTIONS.items():
            self._functions[name].restype = result
            self._functions[name].argtypes = arguments

    def normalised(
        self, pixels: NDArray[np.uint8], mean: NDArray[np.float32], std: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return the pixels (C, H, W), scaled to 0..1 and normalised by mean and std (C,)."""
        pixels = np.ascontiguousarray(pixels)
        planes = np.empty(pixels.shape, np.float32)
        constants = [np.ascontiguousarray(each, np.float32) for each in (mean, std)]
        of_pixels = pixels.ctypes.data, len(pixels), pixels[0].size
        pointers = [each.ctypes.data for each in (*constants, planes)]
        self._functions["normalise"](*of_pixels, *pointers)
        return planes

    def resize(
        self,
        layout: Sequence[ctypes.Structure],
        mean: NDArray[np.float32],
        std: NDArray[np.float32],
        planes: NDArray[np.float32],
    ) -> None:
        """Fill planes (3, H, W) of contiguous rows as `segmenters.shared.compiled_resizing` describes it.

        layout: image, columns and rows. Raises MemoryError.
        """
        constants = [np.ascontiguousarray(each, np.float32) for each in (mean, std)]
        pointers = [each.ctypes.data for each in (*constants, planes)]
        of_plane = planes.strides[0] // planes.itemsize
        if self._functions["resize"](*map(ctypes.addressof, layout), *pointers, of_plane):
            raise MemoryError(f"there is no memory for rows of {planes.shape[2]} pixels")

    def argmax(
        self,
        logits: NDArray[np.float32],
        limits: Sequence[float],
        size: tuple[int, int],
        ids: Sequence[int],
        dtype: np.dtype[Any],
    ) -> tuple[Pixels, NDArray[np.float32]]:
        """Return the id (H, W) of `dtype` with the highest logit that reaches its limit, and that logit (H, W).

        logits: (K, h, w), resized bilinearly to `size` (H, W); for NaN and infinities see LARGEST_LOGIT. limits: (K,),
        of which infinities are allowed. ids: (K,). Of equal logits the first one wins. Where none reaches its limit,
        the id is 0 and the logit minus infinity. Raises MemoryError.
        """
        label, best = np.empty(size, dtype), np.empty(size, np.float32)
        self._label(logits, limits, ids, label, best=best)
        return label, best

    def label_and_confidence(
        self,
        logits: NDArray[np.float32],
        limits: Sequence[float],
        size: tuple[int, int],
        ids: Sequence[int],
        dtype: np.dtype[Any],
    ) -> tuple[Pixels, NDArray[np.uint8]]:
        """Return what `argmax` does, with `confidence` of it in place of the logit, which is not stored.

        Raises MemoryError.
        """
        label, confidence = np.empty(size, dtype), np.empty(size, np.uint8)
        self._label(logits, limits, ids, label, confidence=confidence)
        return label, confidence

    def _label(
        self,
        logits: NDArray[np.float32],
        limits: Sequence[float],
        ids: Sequence[int],
        label: Pixels,
        best: Pixels | None = None,
        confidence: Pixels | None = None,
    ) -> None:
        """Compute all that is not None."""
        logits = np.ascontiguousarray(logits, np.float32)
        of_classes = np.array(limits, np.float32), np.array(ids, np.int32)
        inputs = logits.ctypes.data, *logits.shape, *(each.ctypes.data for each in of_classes)
        outputs = (None if each is None else each.ctypes.data for each in (best, confidence))
        of_label = *label.shape, label.itemsize, label.ctypes.data
        outcome = self._functions["label"](*inputs, *of_label, *outputs)
        if outcome < 0:
            raise MemoryError(f"there is no memory for rows of {label.shape[1]} pixels")
        if outcome > 0:
            self._label(finite_logits(logits), limits, ids, label, best, confidence)

    def confidence(self, logits: NDArray[np.float32], label: Pixels) -> NDArray[np.uint8]:
        """Return the probabilities (H, W) of logits times 255, rounded, at least 1; 0 where the label is 0."""
        logits, label = np.ascontiguousarray(logits, np.float32), np.ascontiguousarray(label)
        confidence = np.empty(label.shape, np.uint8)
        inputs = logits.ctypes.data, label.ctypes.data, label.itemsize, label.size
        self._functions["confidence"](*inputs, confidence.ctypes.data)
        return confidence

    def components(self, label: Pixels, confidence: NDArray[np.uint8]) -> tuple[Components, Runs]:
        """Return the connected components of equal ids above 0, with 8 neighbours, and their runs in rows."""
        label, confidence = np.ascontiguousarray(label), np.ascontiguousarray(confidence)
        pixels, size = (label.ctypes.data, label.itemsize), label.shape
        most = self._functions["most_runs"](*pixels, *size)
        runs, components, count = np.empty(most, RUN), np.empty(most, COMPONENT), c_int32()
        outputs = runs.ctypes.data, ctypes.addressof(count), components.ctypes.data
        number = self._functions["components"](*pixels, confidence.ctypes.data, *size, *outputs)
        return components[:number], runs[: count.value]

    def masks(
        self, components: Components, runs: Runs, chosen: NDArray[np.intp]
    ) -> list[NDArray[np.bool_]]:
        """Return the masks, within their bounding boxes, of the components with the indices `chosen`."""
        shapes = [
            (bottom - top, right - left)
            for *_, left, top, right, bottom, _ in components[chosen].tolist()
        ]
        starts = [0, *accumulate(height * width for height, width in shapes)]
        places = np.full(len(components), -1, np.int64)
        places[chosen] = starts[:-1]
        pixels = np.zeros(starts[-1], np.bool_)
        of_runs = runs.ctypes.data, len(runs), components.ctypes.data
        self._functions["masks"](*of_runs, places.ctypes.data, pixels.ctypes.data)
        return [
            pixels[start : start + shape[0] * shape[1]].reshape(shape)
            for start, shape in zip(starts, shapes, strict=False)
        ]

    def run_lengths(self, masks: Sequence[NDArray[np.bool_]]) -> list[NDArray[np.uint32]]:
        """Return what `perception.masks.encode_runs` does for each of at least one mask."""
        pixels = np.concatenate([mask.ravel() for mask in masks])
        sizes = np.array([mask.size for mask in masks], np.int64)
        counts = np.empty(pixels.size + sizes.size, np.uint32)
        ends = np.empty_like(sizes)
        inputs = pixels.ctypes.data, sizes.ctypes.data, sizes.size
        self._functions["run_lengths"](*inputs, counts.ctypes.data, ends.ctypes.data)
        bounds = [0, *ends.tolist()]
        counts = counts[: bounds[-1]].copy()  # without the memory of the longest lists
        return [counts[start:end] for start, end in pairwise(bounds)]

    def warp(
        self,
        label: Pixels,
        confidence: NDArray[np.uint8],
        places: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]],
        factor: float,
    ) -> tuple[Pixels, NDArray[np.uint8]]:
        """Return the label and the confidence (H, W) of the nearest pixels to `places`: x, y and trust, all (H, W).

        Both are 0 for places outside of the image, and without trust. Confidence is multiplied by
        trust and factor, at least 1 where the label is not 0. Raises MemoryError.
        """
        label, confidence = np.ascontiguousarray(label), np.ascontiguousarray(confidence)
        x, y, trust = (np.ascontiguousarray(plane) for plane in places)
        new_label, new_confidence = np.empty_like(label), np.empty_like(confidence)
        pixels = label.ctypes.data, label.itemsize, confidence.ctypes.data, *label.shape
        where = x.ctypes.data, y.ctypes.data, trust.ctypes.data, factor
        outputs = new_label.ctypes.data, new_confidence.ctypes.data
        if self._functions["warp"](*pixels, *where, *outputs):
            raise MemoryError(f"there is no memory for a row of {label.shape[1]} pixels")
        return new_label, new_confidence

    def reproject(
        self,
        depths_m: tuple[NDArray[np.float32], NDArray[np.float32]],
        rays: tuple[NDArray[np.float32], NDArray[np.float32]],
        projection: tuple[NDArray[np.float32], NDArray[np.float32]],
        by_flow: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]],
        limits: tuple[float, float],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], Pixels, Pixels, Pixels]:
        """Return what `perception.geometry.by_geometry` does: x, y and trust of the motion, agrees, measured.

        depths_m: of the newer and the older view, both (H, W). rays: x (1, W) and y (H, 1) of the newer. projection: of
        `reprojection.projection`. by_flow: places x and y, which may be overwritten, with their trust, all (H, W).
        limits: the tolerances of geometry and of flow. Raises MemoryError.
        """
        newer, older = (np.ascontiguousarray(depth, np.float32) for depth in depths_m)
        floats = (*rays, *projection, np.array(limits, np.float32))
        constants = [np.ascontiguousarray(each, np.float32) for each in floats]
        x, y, trust = *map(np.ascontiguousarray, by_flow[:2]), by_flow[2].copy()
        agrees, measured = np.empty(newer.shape, np.bool_), np.empty(newer.shape, np.bool_)
        inputs = newer.ctypes.data, older.ctypes.data, *newer.shape
        others: tuple[Pixels, ...] = (*constants, x, y, trust, agrees, measured)
        if self._functions["reproject"](*inputs, *(each.ctypes.data for each in others)):
            raise MemoryError(f"there is no memory for a row of {newer.shape[1]} pixels")
        return x, y, trust, agrees, measured
