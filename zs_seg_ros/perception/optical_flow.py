"""Dense optical flow between the images of one camera, at a small resolution, with a check in both directions.

Flow is estimated backwards: from each pixel of the newer image to its place in the older one. An older label image is
then carried to the newer image by one remap, and flows of successive images are composed by one remap each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.types import RgbImage, size_of

Grey = NDArray[np.uint8]
"""(h, w): a small grey image."""

FlowField = NDArray[np.float32]
"""(h, w, 2): x and y, in pixels of the small image."""

TRUSTED = 255

Pixels = TypeVar("Pixels", bound=NDArray[Any])

_PIXELS = 320 * 240
_LEAST_SIDE = 32
"""The estimator refuses smaller images."""

# Chosen by measurement; see docs/decisions.
_FINEST_SCALE = 1
_AGREES_PX = 0.7
_DISAGREES_PX = 2.5


@dataclass(frozen=True, eq=False)
class Motion:
    """The motion from a newer image back to an older one of the same size.

    flow: (h, w, 2) float32, from each pixel of the newer small image to its place in the older one. trust: (h, w)
    uint8, 0 where the place is unknown or outside of the older image, 255 where both directions agree.
    """

    flow: FlowField
    trust: NDArray[np.uint8]

    @classmethod
    def none(cls, size: tuple[int, int]) -> Motion:
        """Return the motion between two equal images of the small size (h, w)."""
        return cls(np.zeros((*size, 2), np.float32), np.full(size, TRUSTED, np.uint8))

    def after(self, older: Motion) -> Motion:
        """Return this motion continued by `older`, which leads from this one's older image to an earlier one."""
        places = grid_of(self.trust.shape) + self.flow
        flow = self.flow + sample(older.flow, places, smooth=True)
        trust = sample(older.trust, places, smooth=True, replicate=False)
        return Motion(flow, np.minimum(self.trust, trust))


class FlowEstimator:
    """Estimates the motion between two small grey images. Not thread-safe: it holds buffers of OpenCV."""

    def __init__(self) -> None:
        self._estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._estimator.setFinestScale(_FINEST_SCALE)

    def motion(self, newer: Grey, older: Grey) -> Motion:
        """Return the motion from `newer` back to `older`, which have one size."""
        backwards = self._flow(newer, older)
        forwards = self._flow(older, newer)
        return Motion(backwards, _trust(backwards, forwards))

    def _flow(self, start: Grey, end: Grey) -> FlowField:
        height, width = start.shape
        flow = self._estimator.calc(_padded(start), _padded(end), cast(Any, None))
        return np.asarray(flow[:height, :width], np.float32)


def _padded(image: Grey) -> Grey:
    """Return an image with sides that the estimator accepts."""
    height, width = image.shape
    below, right = max(0, _LEAST_SIDE - height), max(0, _LEAST_SIDE - width)
    if not below and not right:
        return image
    padded = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
    return np.asarray(padded, np.uint8)


def small_size(height: int, width: int) -> tuple[int, int]:
    """Return the size (h, w) at which motion is estimated: of the same aspect, about 320x240 pixels at most."""
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
    height, width = small_size(*size_of(image))
    if (height, width) != size_of(image):
        pixels = np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA))
    grey: NDArray[Any] = np.asarray(cv2.cvtColor(pixels, to_grey))
    return (grey >> 8).astype(np.uint8) if grey.dtype == np.uint16 else grey.astype(np.uint8)


def sample(image: Pixels, places: FlowField, *, smooth: bool, replicate: bool = True) -> Pixels:
    """Return the values of an image (H, W) or (H, W, C) at `places` (h, w, 2), which are x and y in its pixels.

    smooth: interpolated linearly; otherwise those of the nearest pixels. replicate: outside of the image the values
    of its border, otherwise 0.
    """
    interpolation = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST
    border = cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT
    remap = cast(Any, cv2.remap)  # its stub requires a second map
    return cast(Pixels, remap(image, places, None, interpolation, borderMode=border))


def grid_of(size: tuple[int, ...]) -> FlowField:
    """Return (h, w, 2) float32: the x and y of each pixel of an image of `size` (h, w)."""
    rows, columns = np.indices(size[:2], dtype=np.float32)
    return np.dstack((columns, rows))


def _trust(backwards: FlowField, forwards: FlowField) -> NDArray[np.uint8]:
    """Return (h, w) uint8: 255 where both flows lead back to the start, falling to 0 where they do not."""
    height, width = backwards.shape[:2]
    places = grid_of(backwards.shape) + backwards
    returned = backwards + sample(forwards, places, smooth=True)
    miss = cv2.magnitude(returned[..., 0], returned[..., 1])
    trust = np.clip((_DISAGREES_PX - miss) * (TRUSTED / (_DISAGREES_PX - _AGREES_PX)), 0, TRUSTED)
    x, y = places[..., 0], places[..., 1]
    inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    return np.where(inside, trust, 0).astype(np.uint8)
