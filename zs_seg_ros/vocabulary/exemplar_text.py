# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Exemplars as text: PNG in base64, as vocabulary files keep them."""

from __future__ import annotations

import base64
import binascii
import io
from typing import Any

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from zs_seg_ros.errors import FileError
from zs_seg_ros.vocabulary.vocabulary import Exemplar

MOST_PIXELS = 1 << 25
"""Of one image, whatever the limit is set to: 33.5 megapixels, 100 MB."""
MOST_PIXELS_TOGETHER = 1 << 27
"""Of all images and masks of a file."""


class ExemplarReader:
    """Reader of the exemplars of one file, which limits the pixels of each and their sum before it decodes them."""

    def __init__(self, most_pixels: int) -> None:
        self._most_pixels = min(most_pixels, MOST_PIXELS)
        self._pixels = 0

    def read(self, entries: Any) -> tuple[Exemplar, ...]:
        """Return the exemplars of one class. Raises ValueError or VocabularyError when one is refused."""
        if not isinstance(entries, list):
            raise ValueError("exemplars is not a list")
        return tuple(self._exemplar(entry) for entry in entries)

    def _exemplar(self, entry: Any) -> Exemplar:
        if not (isinstance(entry, dict) and "image" in entry and entry.keys() <= {"image", "mask"}):
            raise ValueError("it is no mapping with an image and, perhaps, a mask")
        image = self._decoded(entry["image"], cv2.IMREAD_COLOR)[..., ::-1]
        if "mask" not in entry:
            return Exemplar(image)
        return Exemplar(image, self._decoded(entry["mask"], cv2.IMREAD_GRAYSCALE) > 0)

    def _decoded(self, text: Any, flags: int) -> NDArray[np.uint8]:
        if not isinstance(text, str):
            raise ValueError("an image is no text in base64")
        try:
            data = base64.b64decode(text)
            with PIL.Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as header:
                width, height = header.size
            self._count(width, height)
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        except (binascii.Error, OSError, SyntaxError, cv2.error) as error:
            raise ValueError("an image is neither PNG nor JPEG in base64") from error
        except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
            raise ValueError(f"an image has more than {self._most_pixels} pixels") from error
        if pixels is None:
            raise ValueError("an image is damaged")
        return np.asarray(pixels, dtype=np.uint8)

    def _count(self, width: int, height: int) -> None:
        self._pixels += width * height
        if width * height > self._most_pixels:
            raise ValueError(
                f"an image of {width}x{height} has more than the {self._most_pixels} pixels that are read"
            )
        if self._pixels > MOST_PIXELS_TOGETHER:
            raise ValueError(f"the file's images have more than {MOST_PIXELS_TOGETHER} pixels")


def exemplar_entry(exemplar: Exemplar) -> dict[str, str]:
    """Return an exemplar as texts. Raises FileError for an image that would not be read again."""
    height, width = exemplar.image.shape[:2]
    if height * width > MOST_PIXELS:
        raise FileError(
            f"an exemplar of {width}x{height} is too large to be saved; at most {MOST_PIXELS} pixels are kept"
        )
    entry = {"image": _encoded(exemplar.image[..., ::-1])}
    if exemplar.mask is not None:
        entry["mask"] = _encoded(np.where(exemplar.mask, 255, 0).astype(np.uint8))
    return entry


def _encoded(pixels: NDArray[np.uint8]) -> str:
    return base64.b64encode(cv2.imencode(".png", pixels)[1].tobytes()).decode("ascii")
