# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""CompressedImage messages → colour and depth images: JPEG, PNG, WebP, compressedDepth, and streams of video."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from zs_seg_ros.errors import ImageError
from zs_seg_ros.images.encodings import CONVERTED, DEPTH, RawImage
from zs_seg_ros.images.image_limits import DEFAULT_IMAGE_LIMITS, ImageLimits
from zs_seg_ros.images.rvl import decode_rvl
from zs_seg_ros.images.video import VideoDecoder, video_codec
from zs_seg_ros.images.webp import webp_size
from zs_seg_ros.shown import quoted
from zs_seg_ros.types import RgbImage

FILE_FORMATS = ("JPEG", "PNG", "WebP")
"""Image files that are read."""
_DEPTH_COMPRESSIONS = ("", "compressedDepth", "compressedDepth png", "compressedDepth rvl")
_DEPTH_ALONE = tuple(encoding for encoding in DEPTH if encoding != "mono16")
_DEPTH_HEADER_BYTES = 12
_TOO_LARGE = (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning)

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_LONGEST_TRAILER = 4096
"""Some cameras append padding or data of their own after the end marker of a JPEG."""
_MOST_PIXELS_PER_BYTE = 2000
"""Neither JPEG nor PNG packs more: 64 pixels of a JPEG take at least 6 bits, and deflate packs 1032 bytes into one."""


class CompressedImageReader:
    """Decoder of the compressed images of one topic in order, including those of a video stream."""

    def __init__(self) -> None:
        self._decoder: VideoDecoder | None = None

    @property
    def reads_video(self) -> bool:
        """Return whether the last message was a packet of a video, whose images need every packet before."""
        return self._decoder is not None

    def skip(self) -> None:
        """Continue after messages that were not read: a video resumes at its next keyframe. Thread-safe."""
        self._decoder = None

    def __call__(self, message: Any, limits: ImageLimits = DEFAULT_IMAGE_LIMITS) -> RgbImage:
        """Return (H, W, 3) RGB of a CompressedImage, or of an FFMPEGPacket. Raises ImageError."""
        form = _form_of(message)
        codec = video_codec(form)
        if codec is None:
            self._decoder = None
            return image_from_compressed(message, limits)
        if (
            form.split(";")[-1].strip() in _DEPTH_ALONE
        ):  # ffmpeg_image_transport ends with the image's own encoding
            raise _depth_on_a_colour_topic(form)
        decoder = self._decoder
        if decoder is None or decoder.codec != codec:
            decoder = self._decoder = VideoDecoder(codec)
        return decoder.decode(memoryview(message.data), limits.pixels)


def image_from_compressed(message: Any, limits: ImageLimits = DEFAULT_IMAGE_LIMITS) -> RgbImage:
    """Return (H, W, 3) uint8 RGB of an image file, one of `FILE_FORMATS`.

    A format such as `bayer_rggb8; jpeg compressed ` stands for a Bayer mosaic that was compressed; it is demosaiced.
    Raises ImageError when it cannot be decoded, is larger than `limits`, or is a depth image.
    """
    form = _form_of(message)
    encoding, compressed_as = _image_transport_format(form)
    if encoding in _DEPTH_ALONE:
        raise _depth_on_a_colour_topic(form)
    data = memoryview(message.data)
    if encoding in CONVERTED and encoding.startswith("bayer_") and not compressed_as:
        return _from_mosaic(encoding, form, data, limits)
    return _colours(_decoded(form, data, cv2.IMREAD_COLOR, limits))


def _colours(pixels: NDArray[Any]) -> RgbImage:
    image: RgbImage = np.asarray(pixels, dtype=np.uint8)[..., ::-1]
    return image


def _form_of(message: Any) -> str:
    """Return the format of a CompressedImage; an FFMPEGPacket has it in its encoding."""
    return str(message.format if hasattr(message, "format") else message.encoding)


def _depth_on_a_colour_topic(form: str) -> ImageError:
    return ImageError(
        f"a compressed image with the format {quoted(form)} is dropped: it is a depth image on a colour topic; name "
        "the colour topic"
    )


def _image_transport_format(form: str) -> tuple[str, str]:
    """Split `rgb8; jpeg compressed bgr8` into the encoding of the image and that of the compressed pixels."""
    encoding, _, rest = form.partition(";")
    _, _, compressed_as = rest.partition("compressed")
    return (encoding.strip(), compressed_as.strip()) if rest else ("", "")


def _from_mosaic(encoding: str, form: str, data: memoryview, limits: ImageLimits) -> RgbImage:
    pixels = _decoded(form, data, cv2.IMREAD_UNCHANGED, limits)
    if pixels.ndim != 2:  # it was demosaiced before
        return _colours(_decoded(form, data, cv2.IMREAD_COLOR, limits))
    height, width = pixels.shape
    name = f"{encoding[:10]}{8 * pixels.dtype.itemsize}"  # JPEG keeps 8 bits of 16
    raw = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<"))
    step = width * pixels.dtype.itemsize
    return CONVERTED[name](RawImage(height, width, name, False, step, raw.view(np.uint8).ravel()))


def depth_from_compressed(message: Any, limits: ImageLimits = DEFAULT_IMAGE_LIMITS) -> NDArray[Any]:
    """Return (H, W) of image_transport's compressedDepth, PNG or RVL: uint16 (16UC1) or float32 (32FC1).

    Its layout is that of compressed_depth_image_transport: a header of one integer and two float32, and 16-bit
    values, of which those of 32FC1 are inverse depth. Raises ImageError when it cannot be decoded.
    """
    encoding, _, compression = (part.strip() for part in message.format.partition(";"))
    data = memoryview(message.data)
    if bytes(data[: len(_PNG_SIGNATURE)]) == _PNG_SIGNATURE:
        raise ImageError(
            f"a compressed depth image with the format {quoted(message.format)} is dropped: it is a plain PNG without "
            "the header of compressedDepth; publish it with image_transport's compressedDepth"
        )
    if (
        encoding not in DEPTH
        or compression not in _DEPTH_COMPRESSIONS
        or len(data) < _DEPTH_HEADER_BYTES
    ):
        raise ImageError(
            f"a compressed depth image of {len(data)} bytes with the format {quoted(message.format)} is dropped; "
            "publish 16UC1 or 32FC1 with image_transport's compressedDepth, png or rvl"
        )
    if compression.endswith("rvl"):
        values: NDArray[Any] = decode_rvl(data[_DEPTH_HEADER_BYTES:], limits)
    else:
        png = data[_DEPTH_HEADER_BYTES:]
        values = _decoded(message.format, png, cv2.IMREAD_UNCHANGED, limits)
        if values.ndim != 2 or values.dtype != np.uint16:
            raise ImageError(
                f"a compressed depth image is dropped: its PNG has {values.shape} items of {values.dtype}, not 16 "
                "bits and one channel"
            )
    if DEPTH[encoding] == "u2":
        return values
    scale, offset = np.frombuffer(data, "<f4", 2, offset=4)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        metres = scale / (values.astype(np.float32) - offset)
    return np.where(values > 0, metres, np.float32(np.nan))


def _decoded(form: str, data: memoryview, flags: int, limits: ImageLimits) -> NDArray[Any]:
    """Decode an image file by OpenCV. Its header is checked before: a few bytes can claim gigabytes."""
    try:
        if (size := webp_size(data)) is not None:
            limits.check(*size)
        else:
            with PIL.Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as header:
                width, height = header.size
            limits.check(width, height)
            _check_complete(data, width, height)
        # Applying the EXIF orientation would rotate the image against its camera_info.
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except _TOO_LARGE as error:  # Pillow's own limit, above `limits`
        raise ImageError(
            f"a compressed image of {len(data)} bytes is dropped: it claims many more than the {limits.pixels} pixels "
            "that are read (max_image_pixels)"
        ) from error
    except (OSError, ValueError, SyntaxError, cv2.error):
        pixels = None
    if pixels is None:
        raise ImageError(
            f"a compressed image of {len(data)} bytes ({quoted(form)}) is dropped: it is neither "
            f"{', '.join(FILE_FORMATS[:-1])} nor {FILE_FORMATS[-1]}, or damaged"
        )
    return np.asarray(pixels)


def _check_complete(data: memoryview, width: int, height: int) -> None:
    """Raise ImageError for an image that ends too early; OpenCV would fill it with grey."""
    cut_off = width * height > _MOST_PIXELS_PER_BYTE * len(data)
    if bytes(data[:2]) == _JPEG_START:
        cut_off |= _JPEG_END not in bytes(data[-_LONGEST_TRAILER:])
    if cut_off:
        raise ImageError(
            f"a compressed image of {width}x{height} pixels is dropped: it is cut off after {len(data)} bytes"
        )
