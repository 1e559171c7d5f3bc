# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Calls of `~/keep` that succeed for an image that the node holds no longer: the mask is moved to a newer one."""

from __future__ import annotations

import threading
import time

import numpy as np
from std_msgs.msg import Header

import zs_seg_ros.srv as services
from zs_seg_ros.errors import StudioError
from zs_seg_ros.perception.target import IMAGE_RELEASED, SCENE_FORGOTTEN
from zs_seg_ros.ros.conversions import image_message, time_message
from zs_seg_ros.ros.studio.remote_node import RemoteNode
from zs_seg_ros.studio.frames import ShownFrame
from zs_seg_ros.studio.moved_mask import moved_mask
from zs_seg_ros.studio.source import MarkedObject
from zs_seg_ros.studio.uploads import image_of
from zs_seg_ros.types import RgbImage

_TIMEOUT_S = 90.0
_NEXT_RESULT_S = 10.0
_ATTEMPTS = 3


class KeepCalls:
    """Keeps marked objects. Thread-safe.

    A node holds images before the newest one for a minute after each call of `~/keep`, and none before the first: an
    image that was paused and clicked on is gone by then. The page has that image. Its mask is moved to the
    next result, whose image the node holds, since that first call.
    """

    def __init__(self, remote: RemoteNode) -> None:
        self._remote = remote
        self._received = threading.Condition()
        self._newest: dict[str, ShownFrame] = {}

    def receive(self, frame: ShownFrame) -> None:
        """Remember the newest result of a camera."""
        if frame.version is not None:
            with self._received:
                self._newest[frame.camera] = frame
                self._received.notify_all()

    def keep(self, marked: MarkedObject, name: str) -> str:
        """Return the name of the class. Raises StudioError when the node refuses, or without an answer."""
        response = self._call(marked, name)
        for _ in range(_ATTEMPTS):
            if not _is_gone(response):
                break
            response = self._call(self._in_next_result(marked), name)
        if not response.success:
            raise StudioError(response.message)
        return str(response.class_name)

    def _call(self, marked: MarkedObject, name: str) -> services.KeepObject.Response:
        request = services.KeepObject.Request(
            camera=marked.camera,
            class_name=name,
            mask=image_message(marked.mask.astype(np.uint8) * 255, "mono8", Header()),
            stamp=time_message(marked.stamp_ns),
        )
        response: services.KeepObject.Response = self._remote.call(
            request, services.KeepObject, _TIMEOUT_S
        )
        return response

    def _in_next_result(self, marked: MarkedObject) -> MarkedObject:
        """Return the object in the next result. Raises StudioError without one, and where it is not found again."""
        deadline_s = time.monotonic() + _NEXT_RESULT_S
        with self._received:
            before = self._newest.get(marked.camera)
            self._received.wait_for(
                lambda: self._newest.get(marked.camera) is not before,
                deadline_s - time.monotonic(),
            )
            frame = self._newest.get(marked.camera)
        if frame is None or frame is before:
            raise StudioError(
                f"the image was too old, and no newer result came within {_NEXT_RESULT_S:g} s: mark the object in a "
                "newer image"
            )
        image = _pixels_of(frame)
        mask = moved_mask(marked.mask, marked.image, image)
        if mask is None:
            raise StudioError(
                "the node has the marked image no longer, and the newest one shows the object elsewhere or not at all: "
                "mark it once more"
            )
        return MarkedObject(marked.camera, frame.stamp_ns, image, mask)


def _is_gone(response: services.KeepObject.Response) -> bool:
    """Whether a request was refused for the age of its image alone."""
    return not response.success and any(
        reason in response.message for reason in (IMAGE_RELEASED, SCENE_FORGOTTEN)
    )


def _pixels_of(frame: ShownFrame) -> RgbImage:
    if not isinstance(frame.image, bytes):
        return frame.image
    height, width = frame.size
    return image_of(frame.image, width, height)
