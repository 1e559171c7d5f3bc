# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Decodes video streams in image messages (H.264, H.265, AV1, VP8, VP9) by PyAV, where it is installed.

Each message carries one packet (CompressedImage with the format "h264", or the FFMPEGPacket of ffmpeg_image_transport).
A frame of the stream is a difference to the ones before it, so that a decoder belongs to one topic and is given every
message in order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zs_seg_ros.errors import ImageError
from zs_seg_ros.optional_packages import install_command
from zs_seg_ros.shown import shown
from zs_seg_ros.types import RgbImage

CODECS = {
    "h264": "h264",
    "avc": "h264",
    "h265": "hevc",
    "hevc": "hevc",
    "av1": "av1",
    "vp9": "vp9",
    "vp8": "vp8",
}
"""The names of codecs that publishers use, and FFmpeg's. Names of encoders may follow: h264_nvenc."""

ENCODERS = {
    "libx264": "h264",
    "libx264rgb": "h264",
    "libopenh264": "h264",
    "libx265": "hevc",
    "libsvtav1": "av1",
    "libaom-av1": "av1",
    "librav1e": "av1",
    "libvpx-vp9": "vp9",
    "libvpx": "vp8",
}
"""Names of encoders that do not begin with their codec's: ffmpeg_image_transport writes them into its packets."""


def video_codec(form: str) -> str | None:
    """Name FFmpeg's codec for a CompressedImage's format or an FFMPEGPacket's encoding; None if it is no video."""
    first = form.split(";")[0].strip().lower()
    if first in ENCODERS:
        return ENCODERS[first]
    return CODECS.get(first.split("_")[0])


class VideoDecoder:
    """Decodes the packets of one stream, one call a message, in the order in which they were published.

    Not thread-safe. Raises ImageError where PyAV is not installed.
    """

    def __init__(self, codec: str) -> None:
        try:
            import av
        except ImportError as error:
            raise ImageError(
                f"a video stream ({codec}) is dropped: PyAV, which decodes it, is not installed; run "
                f"{install_command('av')}, or publish raw or JPEG images"
            ) from error
        self.codec = codec
        self._av = av
        self._context: Any = None
        self._dropped = 0

    def decode(self, data: bytes | memoryview, max_pixels: int) -> RgbImage:
        """Return the (H, W, 3) uint8 RGB image that ends with this packet.

        Raises ImageError while no keyframe has come, for a packet that cannot be decoded, after which the next
        keyframe is awaited, and for a stream with more than `max_pixels` pixels.
        """
        if self._context is None:
            self._context = self._av.CodecContext.create(self.codec, "r")
            self._context.thread_count = 1  # several would each hold a frame back
            self._context.flags |= self._av.codec.context.Flags.low_delay
            self._context.options = {"max_pixels": str(max_pixels)}  # before memory is allocated
        if not len(data):  # FFmpeg would take it for the end of the stream
            self._dropped += 1
            raise ImageError(self._waiting(" (it is empty)"))
        try:
            frames = self._context.decode(self._av.Packet(bytes(data)))
        except (self._av.error.FFmpegError, ValueError) as error:
            self._context = None
            self._dropped += 1
            raise ImageError(self._waiting(f" (FFmpeg: {shown(error, 300)})")) from error
        if self._context.width * self._context.height > max_pixels:
            size = f"{self._context.width}x{self._context.height}"
            self._context = None
            raise ImageError(
                f"a video stream of {size} pixels is dropped: at most {max_pixels} pixels are read (max_image_pixels)"
            )
        if not frames:
            self._dropped += 1
            raise ImageError(self._waiting(""))
        self._dropped = 0
        return np.asarray(frames[-1].to_ndarray(format="rgb24"), dtype=np.uint8)

    def _waiting(self, reason: str) -> str:
        return (
            f"a packet of a video stream ({self.codec}) gives no image yet{reason}: {self._dropped} packets are "
            "dropped while a keyframe is awaited; let the publisher send one at least every second"
        )
