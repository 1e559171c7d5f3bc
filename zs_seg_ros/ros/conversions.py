# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Vocabularies, stamps and plain images: messages to the core's types and back."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Quaternion
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from std_msgs.msg import Header

import zs_seg_ros.msg as messages
from zs_seg_ros.errors import ImageError, VocabularyError
from zs_seg_ros.images.image_limits import DEFAULT_IMAGE_LIMITS, ImageLimits
from zs_seg_ros.images.message_images import image_from_message
from zs_seg_ros.shown import quoted
from zs_seg_ros.types import Frame, Scene
from zs_seg_ros.vocabulary.vocabulary import Exemplar, TargetClass, Vocabulary


def time_message(stamp: int) -> Time:
    """Make a Time. stamp: nanoseconds since the epoch."""
    seconds, nanoseconds = divmod(stamp, 1_000_000_000)
    return Time(sec=seconds, nanosec=nanoseconds)


def header_of(frame: Frame) -> Header:
    """Make the header of the image message that the frame was converted from."""
    return Header(stamp=time_message(frame.stamp_ns), frame_id=frame.frame_id)


def header_of_positions(scene: Scene) -> Header:
    """Make the header of messages with positions: the stamp of the image, and the frame that the positions are in."""
    header = header_of(scene.frame)
    if scene.camera_pose is not None:
        header.frame_id = scene.positions_frame_id
    return header


def quaternion_of(rotation: NDArray[np.float64]) -> Quaternion:
    """Make the quaternion of a rotation matrix (3, 3), from the eigenvector of its largest component.

    Bar-Itzhack, "New method for extracting the quaternion from a rotation matrix", 2000.
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation.tolist()
    symmetric = np.array(
        [
            [xx - yy - zz, 0, 0, 0],
            [yx + xy, yy - xx - zz, 0, 0],
            [zx + xz, zy + yz, zz - xx - yy, 0],
            [zy - yz, xz - zx, yx - xy, xx + yy + zz],
        ]
    )
    _, vectors = np.linalg.eigh(symmetric)  # reads the lower half
    x, y, z, w = (vectors[:, -1] * (1 if vectors[3, -1] >= 0 else -1)).tolist()
    return Quaternion(x=x, y=y, z=z, w=w)


def fill(message: Image | CompressedImage | PointCloud2, pixels: NDArray[Any]) -> None:
    """Append an array's bytes to the data of a new message.

    The message's constructor would copy them three times, its setter twice.
    """
    message.data.frombytes(np.ascontiguousarray(pixels).data.cast("B"))


def fill_floats(field: array[float], values: NDArray[np.float32]) -> None:
    """Append an array's values, row by row, to the field of a new message."""
    field.frombytes(np.ascontiguousarray(values, np.float32).tobytes())


def image_message(pixels: NDArray[Any], encoding: str, header: Header) -> Image:
    """Make an Image without row padding. pixels: (H, W) or (H, W, C), contiguous or not."""
    height, width = pixels.shape[:2]
    message = Image(
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=pixels.nbytes // height,
    )
    fill(message, pixels)
    return message


def classes_from_messages(
    targets: list[messages.TargetClass], limits: ImageLimits = DEFAULT_IMAGE_LIMITS
) -> tuple[TargetClass, ...]:
    """Convert target classes. Raises VocabularyError when an exemplar cannot be used."""
    return tuple(
        TargetClass(
            target.name,
            tuple(target.prompts),
            float(target.threshold),
            tuple(
                example_image(e, f"an exemplar of {quoted(target.name)}", limits)
                for e in target.exemplars
            ),
            target.id,
            tuple(target.negatives),
        )
        for target in targets
    )


def example_image(message: messages.Exemplar, what: str, limits: ImageLimits) -> Exemplar:
    """Convert an example image and its mask, called `what` in errors. Raises VocabularyError when it cannot be used."""
    try:
        pixels = image_from_message(message.image, limits)
        shift = 8 * (pixels.dtype.itemsize - 1)
        image: NDArray[np.uint8] = (pixels >> shift).astype(np.uint8)
        if not len(message.mask.data):
            return Exemplar(image)
        mask = image_from_message(message.mask, limits)[..., 0] != 0
        return Exemplar(image, mask)
    except (ImageError, VocabularyError) as error:
        raise VocabularyError(f"{what} cannot be used: {error}") from error


def vocabulary_message(vocabulary: Vocabulary) -> messages.Vocabulary:
    """Make the message of a vocabulary with its ids."""
    return messages.Vocabulary(
        header=Header(stamp=time_message(vocabulary.stamp_ns)),
        version=vocabulary.version,
        ids=list(vocabulary.ids),
        classes=[target_message(target) for target in vocabulary.classes],
    )


def target_message(target: TargetClass) -> messages.TargetClass:
    """Make the message of a class."""
    return messages.TargetClass(
        name=target.name,
        id=target.id,
        prompts=list(target.prompts),
        threshold=target.threshold,
        exemplars=[_exemplar_message(exemplar) for exemplar in target.exemplars],
        negatives=list(target.negatives),
    )


def _exemplar_message(exemplar: Exemplar) -> messages.Exemplar:
    message = messages.Exemplar(image=image_message(exemplar.image, "rgb8", Header()))
    if exemplar.mask is not None:
        message.mask = image_message(exemplar.mask.astype(np.uint8) * 255, "mono8", Header())
    return message
