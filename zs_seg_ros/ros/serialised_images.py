# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Image messages as views on their serialised bytes.

What rclpy deserialises is copied three times, each time into memory that the system must map first, which for images of
1280x720 is most of the processor time of receiving them.
"""

from __future__ import annotations

from typing import Any

from rosbags.serde import SerdeError
from sensor_msgs.msg import CompressedImage, Image

from zs_seg_ros.bags.message_types import ros_types
from zs_seg_ros.errors import ImageError

_NAMES = {Image: "sensor_msgs/msg/Image", CompressedImage: "sensor_msgs/msg/CompressedImage"}


def is_received_serialised(message_type: Any) -> bool:
    """Whether messages of this type are received as bytes, for `read`."""
    return message_type in _NAMES


def read(serialised: bytes, message_type: Any) -> Any:
    """Return a message with the fields of its type, whose data are a view on the bytes.

    Raises ImageError for bytes that are no message of this type.
    """
    name = _NAMES[message_type]
    try:
        return ros_types().deserialize_cdr(memoryview(serialised), name)
    except SerdeError as error:
        raise ImageError(
            f"a message of {len(serialised)} bytes is dropped: it is not a valid {name}; the publisher damages it"
        ) from error
