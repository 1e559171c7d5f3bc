# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Dense optical flow between the images of one camera, at a small resolution, checked in both directions.

Flow is estimated backwards: from each pixel of the newer image to its place in the older one. An older label image is
then carried to the newer image by one remap, and flows of successive images are composed by one remap each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.perception.warping import TRUSTED, Places, Plane, sample
from zs_seg_ros.types import RgbImage, size_of

Grey = NDArray[np.uint8]
"""(h, w): a small grey image."""

# Chosen by measurement; see docs/decisions/0009-propagation.md.
_PIXELS = 160 * 120
_PATCH_STRIDE = 6
_ITERATIONS = 8
_AGREES_PX = 1.0
_DISAGREES_PX = 3.0
_STILL_GREY_LEVELS = 2.0
_STRUCTURE_GREY_LEVELS = 4.0
_STRUCTURE_PX = (9, 9)

_LEAST_SIDE = 32
"""The estimator refuses smaller images."""


@dataclass(frozen=True, eq=False)
class Motion:
    """The motion from a newer image back to an older one of the same size.

    x and y: (h, w) float32, how far each pixel of the newer image lies from its place in the older one. trust: (h, w)
    uint8, 0 where the place is unknown or outside of the older image, 255 where both directions agree. All this for a
    small version of the images, and in its pixels.
    """

    x: Plane
    y: Plane
    trust: NDArray[np.uint8]

    def after(self, older: Motion) -> Motion:
        """Return this motion continued by `older`, which leads from this one's older image to an earlier one."""
        x, y = self._places()
        return Motion(
            self.x + sample(older.x, x, y, smooth=True),
            self.y + sample(older.y, x, y, smooth=True),
            np.minimum(self.trust, sample(older.trust, x, y, smooth=True, replicate=False)),
        )

    @classmethod
    def to(cls, places: Places) -> Motion:
        """Return the motion to these places, at their resolution. It takes over their arrays, which change."""
        columns, rows = _axes(*places.trust.shape)
        np.subtract(places.x, columns, out=places.x)
        np.subtract(places.y, rows, out=places.y)
        return cls(places.x, places.y, places.trust)

    def places(self, size: tuple[int, int]) -> Places:
        """Return the places of all pixels of an image of `size` (H, W) in the older one, in pixels of that size."""
        height, width = size
        small_height, small_width = self.trust.shape
        if (small_height, small_width) == size:
            return Places(*self._places(), self.trust)
        # Multiplied before they are large.
        x = _resized(self.x * np.float32(width / small_width), size)
        y = _resized(self.y * np.float32(height / small_height), size)
        columns, rows = _axes(height, width)
        x += columns
        y += rows
        return Places(x, y, _resized(self.trust, size))

    def _places(self) -> tuple[Plane, Plane]:
        columns, rows = _axes(*self.trust.shape)
        return self.x + columns, self.y + rows


class FlowEstimator:
    """Estimates the motion between two small grey images. Not thread-safe: it holds buffers of OpenCV."""

    def __init__(self) -> None:
        self._fine, self._coarse = _estimator(finest_scale=0), _estimator(finest_scale=1)

    def motion(self, newer: Grey, older: Grey) -> Motion:
        """Return the motion from `newer` back to `older`, which have one size."""
        x, y = _flow(self._fine, newer, older)
        trust = _trust(x, y, *_flow(self._coarse, older, newer))
        return Motion(x, y, trust)


def small_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return the size (h, w) at which motion is estimated: of the same aspect, about 160x120 pixels at most."""
    height, width = size
    scale = min(1.0, math.sqrt(_PIXELS / (height * width)))
    return max(1, round(height * scale)), max(1, round(width * scale))


def small_grey(image: RgbImage) -> Grey:
    """Return an RGB image as a small grey one, of the size that `small_size` gives."""
    to_grey, pixels = cv2.COLOR_RGB2GRAY, cast(NDArray[Any], image)
    if (
        image.strides[2] < 0
    ):  # a BGR image that is viewed as RGB: OpenCV would have to copy the view
        to_grey, pixels = cv2.COLOR_BGR2GRAY, pixels[..., ::-1]
    pixels = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))
    grey: NDArray[Any] = np.asarray(cv2.cvtColor(pixels, to_grey))
    height, width = small_size(size_of(image))
    if grey.shape != (height, width):
        grey = np.asarray(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA))
    return (grey >> 8).astype(np.uint8) if grey.dtype == np.uint16 else grey.astype(np.uint8)


def is_still(newer: Grey, older: Grey) -> bool:
    """Return whether nothing moved between two images, apart from the noise of the camera."""
    difference = cv2.blur(cv2.absdiff(newer, older), (5, 5))
    return float(np.max(difference)) <= _STILL_GREY_LEVELS


def shown_at(older: Grey, motion: Motion) -> Grey:
    """Return what the older image shows at the places of `motion`, at the resolution of the older one."""
    places = motion.places((older.shape[0], older.shape[1]))
    return sample(older, places.x, places.y, smooth=True)


def likeness(newer: Grey, older: Grey, motion: Motion) -> float:
    """Return how much of the structure of the newer image the older one has at the places of `motion`: -1..1.

    This is the correlation of both, without the brightness of their surroundings; 1 where neither has any structure,
    so that blank walls are alike.
    """
    now, then = _structure(newer), _structure(shown_at(older, motion))
    if max(_deviation(now), _deviation(then)) < _STRUCTURE_GREY_LEVELS:
        return 1.0
    strength = cv2.norm(now) * cv2.norm(then)
    return float(np.vdot(now, then)) / max(strength, 1.0)


def _deviation(plane: Plane) -> float:
    return float(cv2.meanStdDev(plane)[1][0, 0])


def _structure(image: Grey) -> Plane:
    """Return an image without the brightness of each pixel's surroundings."""
    pixels = image.astype(np.float32)
    return pixels - np.asarray(cv2.blur(pixels, _STRUCTURE_PX), np.float32)


def _estimator(finest_scale: int) -> cv2.DISOpticalFlow:
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    estimator.setFinestScale(finest_scale)
    estimator.setPatchStride(_PATCH_STRIDE)
    estimator.setGradientDescentIterations(_ITERATIONS)
    estimator.setUseMeanNormalization(True)  # for cameras that change their exposure
    return estimator


def _flow(estimator: cv2.DISOpticalFlow, start: Grey, end: Grey) -> tuple[Plane, Plane]:
    height, width = start.shape
    flow = estimator.calc(_padded(start), _padded(end), cast(Any, None))[:height, :width]
    x, y = np.ascontiguousarray(np.moveaxis(np.asarray(flow, np.float32), 2, 0))
    return x, y


def _padded(image: Grey) -> Grey:
    """Return an image with sides that the estimator accepts."""
    height, width = image.shape
    below, right = max(0, _LEAST_SIDE - height), max(0, _LEAST_SIDE - width)
    if not below and not right:
        return image
    padded = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
    return np.asarray(padded, np.uint8)


def _trust(x: Plane, y: Plane, forwards_x: Plane, forwards_y: Plane) -> NDArray[np.uint8]:
    """Return (h, w) uint8: 255 where both flows lead back to the start, falling to 0 where they do not."""
    height, width = x.shape
    columns, rows = _axes(height, width)
    place_x, place_y = x + columns, y + rows
    miss_x = x + sample(forwards_x, place_x, place_y, smooth=True)
    miss_y = y + sample(forwards_y, place_x, place_y, smooth=True)
    miss = np.asarray(cv2.magnitude(miss_x, miss_y), np.float32)
    trust = np.clip((_DISAGREES_PX - miss) * (TRUSTED / (_DISAGREES_PX - _AGREES_PX)), 0, TRUSTED)
    inside = (np.abs(place_x - (width - 1) / 2) <= width / 2) & (
        np.abs(place_y - (height - 1) / 2) <= height / 2
    )
    return np.asarray(trust * inside, np.uint8)


@lru_cache(maxsize=16)
def _axes(height: int, width: int) -> tuple[Plane, Plane]:
    """Return the x (1, W) and the y (H, 1) of the pixels of an image."""
    return np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]


def _resized(plane: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    return np.asarray(cv2.resize(plane, size[::-1], interpolation=cv2.INTER_LINEAR))
