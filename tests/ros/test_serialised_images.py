# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Images are read from their serialised messages in place, and damaged ones are dropped and reported."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from planner import image_message, running_node, stripes
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image

from zs_seg_ros.errors import ImageError
from zs_seg_ros.images.message_images import depth_from_image, image_from_message
from zs_seg_ros.ros.serialised_images import read

IMAGE = stripes("red", "white", "blue", height=5, width=3)


@pytest.mark.parametrize("frame_id", ["", "a", "front", "optical_frame", "кадр"])
def test_an_image_has_the_fields_that_were_sent(frame_id: str) -> None:
    sent = image_message(IMAGE, "bgr8", frame_id)
    serialised = serialize_message(sent)
    received = read(serialised, Image)
    assert received.header.frame_id == frame_id
    assert received.header.stamp.sec == sent.header.stamp.sec
    assert received.header.stamp.nanosec == sent.header.stamp.nanosec
    fields = ("height", "width", "encoding", "is_bigendian", "step")
    assert [getattr(received, f) for f in fields] == [getattr(sent, f) for f in fields]
    assert np.array_equal(image_from_message(received), IMAGE[..., ::-1])
    assert np.shares_memory(received.data, np.frombuffer(serialised, np.uint8))


def test_depth_is_read_in_place_and_aligned() -> None:
    depth = np.arange(12, dtype=np.uint16).reshape(3, 4) * 500
    for frame_id in ("", "d", "de", "dep"):
        received = read(serialize_message(image_message(depth, "16UC1", frame_id)), Image)
        view = depth_from_image(received)
        assert np.array_equal(view, depth)
        assert view.flags.aligned


def test_a_compressed_image_has_the_fields_that_were_sent() -> None:
    sent = CompressedImage(format="jpeg", data=b"\xff\xd8\xff\x00")
    received = read(serialize_message(sent), CompressedImage)
    assert (received.format, bytes(received.data)) == ("jpeg", b"\xff\xd8\xff\x00")


GOOD = serialize_message(image_message(IMAGE))
DAMAGED = {
    "empty": b"",
    "a header alone": GOOD[:4],
    "half of it": GOOD[: len(GOOD) // 2],
    "without its last pixel": GOOD[:-3],
    "with more behind it": GOOD + bytes(8),
    "another encapsulation": b"\x00\x07" + GOOD[2:],
    "a name that is not UTF-8": serialize_message(image_message(IMAGE, frame_id="xy")).replace(
        b"xy\0", b"\xff\xfe\0"
    ),
}


@pytest.mark.parametrize("serialised", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_message_is_refused(serialised: bytes) -> None:
    with pytest.raises(ImageError, match=f"{len(serialised)} bytes .*sensor_msgs/msg/Image"):
        read(serialised, Image)


def test_a_damaged_message_is_reported_and_the_next_image_is_segmented() -> None:
    damaged: Any = DAMAGED["half of it"]
    with running_node({"classes": ["white"]}) as planner:
        labels = planner.outputs()
        planner.send(first := image_message(IMAGE))
        planner.output_with_stamp_of(first, labels)
        publisher = planner.node.create_publisher(Image, "/camera/image_raw", 10)
        publisher.publish(damaged)
        status = planner.diagnosis_saying("camera", "is not a valid sensor_msgs/msg/Image")
        assert status.level == status.WARN
        assert planner.label_of(IMAGE)[0, ::3].tolist() == [0, 1, 0]
