# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Immutable values with checked shapes that the modules exchange: frames, segmentations, detections and scenes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.errors import ImageError
from zs_seg_ros.requested_outputs import RequestedOutputs
from zs_seg_ros.shared_space import Embeddings, FeatureGrid
from zs_seg_ros.vocabulary.vocabulary import MAX_SIDE_PX, Vocabulary

RgbImage = NDArray[np.uint8] | NDArray[np.uint16]
"""(H, W, 3) RGB, uint8 or uint16 over its full range; any strides and byte order, so views are accepted."""

Label = NDArray[np.uint8] | NDArray[np.uint16]
"""(H, W) label image: 0 is background, otherwise a class id. uint16 where the vocabulary has an id above 254."""

Metres = tuple[float, float, float]
"""(x, y, z) in metres."""


def check_image(image: RgbImage) -> None:
    """Raise ImageError unless `image` is a usable `RgbImage`."""
    if image.ndim != 3 or image.shape[2] != 3:
        raise ImageError(f"an image must have the shape (height, width, 3), not {image.shape}")
    if image.dtype.newbyteorder("=") not in (np.uint8, np.uint16):
        raise ImageError(f"an image must be uint8 or uint16, not {image.dtype}")
    height, width = image.shape[:2]
    if not (0 < height <= MAX_SIDE_PX and 0 < width <= MAX_SIDE_PX):
        raise ImageError(
            f"an image's sides must be 1 to {MAX_SIDE_PX} pixels, not {width}x{height}"
        )


def size_of(image: RgbImage) -> tuple[int, int]:
    """Return the size (H, W) of an image."""
    height, width = image.shape[:2]
    return height, width


@dataclass(frozen=True)
class Distortion:
    """The distortion of a lens: how far an image point lies from where a pinhole camera would show it.

    model: plumb_bob or rational_polynomial (OpenCV's order k1 k2 p1 p2 k3 …), or equidistant (fisheye, k1 k2 k3 k4), as
    in sensor_msgs/CameraInfo (REP 104). coefficients: its D.
    """

    model: str
    coefficients: tuple[float, ...]


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera: focal lengths, optical centre and the size of its images, all in pixels.

    The centre of the first pixel is at (0, 0). Raises ImageError for numbers that no camera has.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    distortion: Distortion | None = None

    def __post_init__(self) -> None:
        focal, centre, sides = (self.fx, self.fy), (self.cx, self.cy), (self.width, self.height)
        # A shorter one views 180 degrees: these would be numbers for an image that is 1 wide.
        if not all(1 <= length < math.inf for length in focal):
            raise ImageError(
                f"camera_info has focal lengths of {self.fx:g} and {self.fy:g} pixels, which no camera has: "
                "calibrate the camera, or have its driver publish K in pixels"
            )
        if focal == (1.0, 1.0):
            raise ImageError(
                "camera_info has the identity matrix as K, which stands for no calibration: calibrate the camera, or "
                "have its driver publish K in pixels"
            )
        if not all(abs(place) <= MAX_SIDE_PX for place in centre):
            raise ImageError(
                f"camera_info has an optical centre at ({self.cx:g}, {self.cy:g}), far outside of any image: "
                "calibrate the camera, or have its driver publish K in pixels"
            )
        if not all(0 < side <= MAX_SIDE_PX for side in sides):
            raise ImageError(
                f"camera_info has a size of {self.width}x{self.height} pixels: have the camera's driver fill in "
                "width and height"
            )


@dataclass(frozen=True, eq=False)
class DepthImage:
    """Depth that is registered to an image.

    values: (H, W), uint16 in millimetres or float32 in metres (REP 118), or in units of `unit_m` metres, where that is
    not 0. stamp_ns: nanoseconds since the epoch.
    """

    values: NDArray[np.uint16] | NDArray[np.float32]
    intrinsics: Intrinsics
    stamp_ns: int = 0
    unit_m: float = 0.0


@dataclass(frozen=True, eq=False)
class Pose:
    """The pose of a camera at one moment: a point p of its optical frame is at rotation @ p + translation_m.

    rotation: (3, 3) float64, from the optical frame to a fixed frame. translation_m: (3,) float64, in metres.
    """

    rotation: NDArray[np.float64]
    translation_m: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of one camera, as it was received.

    stamp_ns and frame_id: from the message's header, forwarded unchanged. received_ns: when it was received, by the
    monotonic clock. depth: None without depth, or when it was not received in time. rotation: degrees clockwise, 0, 90,
    180 or 270, by which the image is upright. pose: the camera's pose at stamp_ns in a fixed frame; None without
    transforms. Raises ImageError for an array that `check_image` refuses.
    """

    camera: str
    image: RgbImage
    stamp_ns: int = 0
    frame_id: str = ""
    received_ns: int = 0
    depth: DepthImage | None = None
    requested: RequestedOutputs = field(default_factory=RequestedOutputs)
    rotation: int = 0
    pose: Pose | None = None

    def __post_init__(self) -> None:
        check_image(self.image)


@dataclass(frozen=True, eq=False)
class Batch:
    """The input of one inference: images of any sizes, and the least confidence for each class.

    thresholds: (K,) float32 in 0..1, in the order of the vocabulary's classes. sizes: (H, W) of each segmentation, none
    larger than its image; the images' own without them. features: whether segmentations need theirs.
    """

    images: tuple[RgbImage, ...]
    thresholds: NDArray[np.float32]
    sizes: tuple[tuple[int, int], ...] = ()
    features: bool = False

    def __post_init__(self) -> None:
        if not self.sizes:
            object.__setattr__(self, "sizes", tuple(map(size_of, self.images)))


@dataclass(frozen=True)
class Box:
    """A bounding box: a rectangle of pixels in an image, from (left, top), `width` x `height` pixels large."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class VisibleSurface:
    """The 3-D position and extent of the side of an object that faces the camera, in metres.

    All are (x, y, z) in the camera's optical frame: x right, y down, z forward (REP 103). centre: the mean of the
    surface's points. low and high: two corners of the 3-D bounding box around them; its middle is not the centre.
    """

    centre: Metres
    low: Metres
    high: Metres

    @property
    def middle(self) -> Metres:
        """The middle of the 3-D bounding box from low to high."""
        (x, y, z), (x_high, y_high, z_high) = self.low, self.high
        return (x + x_high) / 2, (y + y_high) / 2, (z + z_high) / 2

    @property
    def size(self) -> Metres:
        """The size of the 3-D bounding box from low to high."""
        (x, y, z), (x_high, y_high, z_high) = self.low, self.high
        return x_high - x, y_high - y, z_high - z


@dataclass(frozen=True, eq=False)
class DetectedObject:
    """One detection: an object of a class in an image.

    box: its tight bounding box. mask: (box.height, box.width) bool, the object's pixels in the box. score: 0..1, its
    confidence; the mean over the mask where a model only labels pixels. track_id: stays the same from frame to frame;
    0 when not tracked. surface: None without depth. Raises ValueError when mask and box differ in size.
    """

    class_id: int
    score: float
    box: Box
    mask: NDArray[np.bool_]
    track_id: int = 0
    surface: VisibleSurface | None = None

    def __post_init__(self) -> None:
        if self.mask.shape != (self.box.height, self.box.width):
            raise ValueError(f"a mask of {self.mask.shape} does not fit its {self.box}")

    @cached_property
    def area(self) -> int:
        """The number of pixels in the mask."""
        return int(np.count_nonzero(self.mask))


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The result of inference for one image.

    label: (H, W) uint8, or uint16 where the vocabulary has an id above 254; 0 is background, otherwise a class id.
    confidence: (H, W) uint8, the confidence times 255; 0 exactly where the label is 0.
    instances: the detections of a model that separates instances, which may overlap; None when it only labels pixels.
    features: None where they were not requested, or the model has no shared space of words and images.
    presence: how surely the image shows each class at all, 0..1 by class id, where the model has a score of that for
    the class's words; None where it has none, or did not run on this image.
    Raises ValueError when label and confidence differ in size.
    """

    label: Label
    confidence: NDArray[np.uint8]
    instances: tuple[DetectedObject, ...] | None = None
    features: FeatureGrid | None = None
    presence: Mapping[int, float] | None = None

    def __post_init__(self) -> None:
        if self.label.shape != self.confidence.shape or self.label.ndim != 2:
            raise ValueError(
                f"label {self.label.shape} and confidence {self.confidence.shape} must be one (H, W)"
            )

    @classmethod
    def empty(cls, size: tuple[int, int]) -> Segmentation:
        """Return the result without detections for an image of `size` (H, W)."""
        return cls(np.zeros(size, np.uint8), np.zeros(size, np.uint8))


@dataclass(frozen=True, eq=False)
class Scene:
    """One processed frame: everything that is published about it belongs to `vocabulary`.

    objects: the detections, most confident first. cloud: (h, w) of `labelled_cloud.POINT`; None without depth, or when
    it is not requested. depth_problem: what is wrong with its depth; empty without a problem. stage_ms: the duration of
    each stage in milliseconds; that of `segment` is for the frame's whole batch. propagated_from_ns: the stamp of the
    image that the model segmented; None where that is the frame's own. output_scale: of label images. camera_pose: of
    the camera in the frame `positions_frame_id`, which surfaces and cloud are in; None: the camera's own.
    features: one row per object, in their order; None where they were not requested, or cannot be had.
    """

    frame: Frame
    segmentation: Segmentation
    vocabulary: Vocabulary
    objects: tuple[DetectedObject, ...] = ()
    cloud: NDArray[np.void] | None = None
    depth_problem: str = ""
    stage_ms: dict[str, float] = field(default_factory=dict)
    propagated_from_ns: int | None = None
    output_scale: float = 1.0
    camera_pose: Pose | None = None
    positions_frame_id: str = ""
    features: Embeddings | None = None

    @property
    def presence(self) -> dict[str, float]:
        """The presence score of each class that has one, 0..1, by name."""
        names = dict(zip(self.vocabulary.ids, self.vocabulary.names, strict=True))
        scores = self.segmentation.presence or {}
        return {names[class_id]: score for class_id, score in scores.items() if class_id in names}

    @property
    def inferred_stamp_ns(self) -> int:
        """The stamp of the image that the model segmented, in nanoseconds."""
        return self.frame.stamp_ns if self.propagated_from_ns is None else self.propagated_from_ns
