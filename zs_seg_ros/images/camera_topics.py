# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Default names of a camera's topics. transport: raw or compressed; ffmpeg for images."""

from __future__ import annotations


def image_topic(camera: str, transport: str) -> str:
    """Return the topic of the images."""
    return f"/{camera}/image_raw" + ("" if transport == "raw" else f"/{transport}")


def depth_topic(camera: str, transport: str) -> str:
    """Return the topic of the depth images, which are registered to the images."""
    return f"/{camera}/depth/image_raw" + ("/compressedDepth" if transport == "compressed" else "")


def info_topic(camera: str) -> str:
    """Return the topic of the CameraInfo messages."""
    return f"/{camera}/camera_info"
