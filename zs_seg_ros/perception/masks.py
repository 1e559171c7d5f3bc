# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Post-processing of segmentations to detections with mask and bounding box, and run-length encoding of masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.errors import ImageError
from zs_seg_ros.kernels import MOST_PIXELS, Kernels, compiled_kernels
from zs_seg_ros.types import Box, DetectedObject, Segmentation

Integers = NDArray[np.int64]
Label = NDArray[np.unsignedinteger[Any]]


def encode_runs(mask: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Return the run lengths (N,) of a (height, width) bool mask, row by row, as in the message ObjectMask.

    The first run is background and may be 0; then object, background, object and so on, none of
    them 0. A run goes on across the ends of rows. They add up to height * width. A mask without any
    object is one run, and so is one without pixels: [0].
    """
    pixels = mask.ravel()
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    no_background_first = np.flatnonzero(pixels[:1])  # a run that ends at 0; otherwise nothing
    ends = np.concatenate(([0], no_background_first, changes, [pixels.size]))
    return np.diff(ends).astype(np.uint32)


def encode_all_runs(masks: Sequence[NDArray[np.bool_]]) -> list[NDArray[np.uint32]]:
    """Return what `encode_runs` returns for each of the (height, width) bool masks, in a fraction of the time."""
    if not masks:
        return []
    kernels = compiled_kernels()
    if kernels is not None:
        return kernels.run_lengths(masks)
    # Between the masks is one pixel of background, at which a run always ends.
    gap = np.zeros(1, np.bool_)
    pixels = np.concatenate([part for mask in masks for part in (gap, mask.ravel())] + [gap])
    gaps = np.cumsum([0, *(mask.size + 1 for mask in masks)])
    run_ends = pixels[1:] != pixels[:-1]
    run_ends[gaps[1:] - 1] = True
    bounds = np.concatenate(([0], np.flatnonzero(run_ends) + 1))
    counts = np.diff(bounds).astype(np.uint32)
    first = np.searchsorted(bounds, gaps[:-1])
    counts[first] -= 1
    ends = [*first[1:].tolist(), counts.size]
    return [counts[start:end] for start, end in zip(first.tolist(), ends, strict=True)]


def decode_runs(
    counts: Sequence[int] | NDArray[np.uint32] | Integers, height: int, width: int
) -> NDArray[np.bool_]:
    """Return the (height, width) bool mask with these run lengths; the inverse of `encode_runs`.

    Runs of length 0 may stand anywhere. Raises ImageError unless the counts add up to
    height * width.
    """
    runs = np.asarray(counts, dtype=np.int64)
    pixels = height * width
    if np.any((runs < 0) | (runs > pixels)) or runs.sum() != pixels:
        raise ImageError(
            f"the run lengths of a mask of {width}x{height} must add up to {pixels}, "
            f"but these {runs.size} add up to {sum(runs.tolist())}: "
            "take counts, height and width from the same message"
        )
    return np.repeat(np.arange(runs.size) % 2 == 1, runs).reshape(height, width)


def full_mask(mask: NDArray[np.bool_], box: Box, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return a mask that fills its bounding box in the whole image of `size` (H, W): (H, W)."""
    whole = np.zeros(size, np.bool_)
    whole[box.top : box.top + box.height, box.left : box.left + box.width] = mask
    return whole


def extract_objects(
    segmentation: Segmentation, min_area: int, max_objects: int
) -> tuple[DetectedObject, ...]:
    """Return the detections in an image, most confident first; of equally confident ones, the larger first.

    These are the instances of a model that separates them, otherwise the connected components of each class in the
    label image (with 8 neighbours). Objects of less than `min_area` pixels are left out, and so are instances without
    pixels; at most `max_objects` are returned.
    """
    if segmentation.instances is None:
        kernels = compiled_kernels()
        if kernels is not None and segmentation.label.size <= MOST_PIXELS:
            return _compiled_components(kernels, segmentation, min_area, max_objects)
        return _connected_components(segmentation, min_area, max_objects)
    large_enough = [each for each in segmentation.instances if each.area >= max(1, min_area)]
    most_confident_first = sorted(large_enough, key=lambda each: (-each.score, -each.area))
    return tuple(most_confident_first[:max_objects])


@dataclass(frozen=True, eq=False)
class _Runs:
    """Runs of pixels of one class in the rows of a label image, from top left to bottom right.

    Each array is (R,) int64. start and end (exclusive) count pixels row by row, in rows that are
    one pixel longer than the image's, so that no run touches one of the next row across the border.
    """

    row_length: int
    start: Integers
    end: Integers

    def __getitem__(self, chosen: Integers) -> _Runs:
        return _Runs(self.row_length, self.start[chosen], self.end[chosen])


def _connected_components(
    segmentation: Segmentation, min_area: int, max_objects: int
) -> tuple[DetectedObject, ...]:
    """Label connected components by joining runs instead of pixels, of which there are a hundred times more."""
    if not segmentation.label.any():
        return ()
    label = _with_column_of_zeros(segmentation.label)
    runs = _find_runs(label)
    class_id = label.ravel()[runs.start]
    component = _join_touching_runs(runs, class_id)  # its number is that of its first run
    area = np.bincount(component, runs.end - runs.start)
    confidence = np.bincount(component, _confidence_in(runs, segmentation.confidence))

    chosen, scores = _most_confident(area, confidence, min_area, max_objects)
    if chosen.size == 0:
        return ()
    place_of_component = np.full(component.size, -1)
    place_of_component[chosen] = np.arange(chosen.size)
    place = place_of_component[component]
    of_chosen = np.flatnonzero(place >= 0)
    in_order = of_chosen[np.argsort(place[of_chosen], kind="stable")]
    boxes, masks = _boxes_and_masks(runs[in_order], place[in_order])
    return tuple(map(DetectedObject, class_id[chosen].tolist(), scores, boxes, masks))


def _most_confident(
    area: NDArray[Any], confidence: NDArray[Any], min_area: int, max_objects: int
) -> tuple[NDArray[np.intp], list[float]]:
    """Return the indices of the components that are objects, in order, and their scores. confidence: (C,), sums."""
    large_enough = np.flatnonzero(area >= max(1, min_area))
    score = confidence[large_enough] / area[large_enough] / 255
    most_confident_first = np.lexsort((-area[large_enough], -score))[:max_objects]
    return large_enough[most_confident_first], score[most_confident_first].tolist()


def _compiled_components(
    kernels: Kernels, segmentation: Segmentation, min_area: int, max_objects: int
) -> tuple[DetectedObject, ...]:
    """Return what `_connected_components` does."""
    components, runs = kernels.components(segmentation.label, segmentation.confidence)
    area, confidence = components["area"], components["confidence"]
    chosen, scores = _most_confident(area, confidence, min_area, max_objects)
    masks = kernels.masks(components, runs, chosen)
    objects = []
    for values, score, mask in zip(components[chosen].tolist(), scores, masks, strict=True):
        of_object, _, class_id, left, top, *_ = values
        height, width = mask.shape
        detected = DetectedObject(class_id, score, Box(left, top, width, height), mask)
        vars(detected)["area"] = of_object  # which is a cached property
        objects.append(detected)
    return tuple(objects)


def _with_column_of_zeros(image: Label) -> Label:
    height, width = image.shape
    padded = np.zeros((height, width + 1), image.dtype)
    padded[:, :width] = image
    return padded


def _find_runs(label: Label) -> _Runs:
    """Return the runs of a label image whose last column is zeros, which ends every run."""
    pixels = label.ravel()
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    bounds = np.concatenate(([0], changes))
    is_object = np.flatnonzero(pixels[bounds])
    return _Runs(label.shape[1], bounds[is_object], bounds[is_object + 1])


def _join_touching_runs(runs: _Runs, class_id: Label) -> Integers:
    """Return (R,): for each run the index of the first run of its connected component."""
    upper, lower = _touching_pairs(runs)
    same_class = class_id[upper] == class_id[lower]
    upper, lower = upper[same_class], lower[same_class]
    # All joins at once (Shiloach and Vishkin, "An O(log n) parallel connectivity algorithm", 1982):
    # the root of each component becomes the earliest root that it touches, then chains are shortened.
    root = np.arange(runs.start.size)
    while True:
        apart = np.flatnonzero(root[upper] != root[lower])
        if apart.size == 0:
            return root
        upper, lower = upper[apart], lower[apart]
        one, other = root[upper], root[lower]
        np.minimum.at(root, np.maximum(one, other), np.minimum(one, other))
        while np.any(root != root[root]):
            root = root[root]


def _touching_pairs(runs: _Runs) -> tuple[Integers, Integers]:
    """Return the indices of all pairs of runs of adjacent rows that touch, also at a corner: upper, lower.

    Runs are sorted, so those above one run follow each other.
    """
    first = np.searchsorted(runs.end, runs.start - runs.row_length, side="left")
    after_last = np.searchsorted(runs.start, runs.end - runs.row_length, side="right")
    count = after_last - first
    lower = np.repeat(np.arange(count.size), count)
    upper = np.arange(lower.size) + np.repeat(after_last - np.cumsum(count), count)
    return upper, lower


def _confidence_in(runs: _Runs, confidence: NDArray[np.uint8]) -> Integers:
    """Return (R,): the sum over each run."""
    row_ends = runs.start // runs.row_length  # pixels before a run that the image itself lacks
    bounds = _alternate(runs.start - row_ends, runs.end - row_ends)
    if bounds[-1] == confidence.size:  # reduceat goes on to the end by itself
        bounds = bounds[:-1]
    return np.add.reduceat(confidence.ravel(), bounds, dtype=np.int64)[::2]


def _boxes_and_masks(runs: _Runs, place: Integers) -> tuple[list[Box], list[NDArray[np.bool_]]]:
    """Return the tight bounding boxes of objects, and their masks within the boxes.

    place: (R,), the number of the object that each run belongs to: 0, 0, …, 1, …, without a gap.
    """
    row, left = np.divmod(runs.start, runs.row_length)
    first = np.flatnonzero(np.diff(place, prepend=-1))
    box_top = np.minimum.reduceat(row, first)
    box_left = np.minimum.reduceat(left, first)
    height = np.maximum.reduceat(row, first) + 1 - box_top
    width = np.maximum.reduceat(runs.end % runs.row_length, first) - box_left

    # All masks are decoded from one list of run lengths: decoding one by one takes twice as long.
    end = np.cumsum(height * width)
    begin = end - height * width
    start = begin[place] + (row - box_top[place]) * width[place] + left - box_left[place]
    bounds = _alternate(start, start + runs.end - runs.start)
    counts = np.diff(bounds, prepend=0, append=end[-1])
    pixels = decode_runs(counts, 1, int(end[-1]))[0]
    boxes = list(map(Box, box_left.tolist(), box_top.tolist(), width.tolist(), height.tolist()))
    masks = [
        mask.reshape(box.height, box.width)
        for mask, box in zip(np.split(pixels, end[:-1]), boxes, strict=True)
    ]
    return boxes, masks


def _alternate(starts: Integers, ends: Integers) -> Integers:
    return np.stack((starts, ends), axis=1).ravel()
