# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Recordings of H.264 video."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from bag_messages import START_NS, STEP_NS, BagWriter, header, new
from numpy.typing import NDArray


def write_video_bag(
    folder: Path, images: Sequence[NDArray[np.uint8]], keyframe_every: int, skipped: int = 0
) -> Path:
    """Record images. skipped: packets at the start that are not recorded."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.height, encoder.width = images[0].shape[:2]
    encoder.pix_fmt, encoder.time_base, encoder.gop_size = (
        "yuv444p",
        Fraction(1, 10),
        keyframe_every,
    )
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "4"}
    packets = []
    for image in images:
        packets += encoder.encode(av.VideoFrame.from_ndarray(image, format="rgb24"))
    packets += encoder.encode(None)
    assert len(packets) == len(images)
    with BagWriter(folder) as bag:
        for number, packet in list(enumerate(packets))[skipped:]:
            time_ns = START_NS + number * STEP_NS
            data = np.frombuffer(bytes(packet), np.uint8)
            message = new(
                "sensor_msgs/msg/CompressedImage", header=header(time_ns), format="h264", data=data
            )
            bag.write("/camera/image_raw/compressed", time_ns + 700, message)
    return folder
