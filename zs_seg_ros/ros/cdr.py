# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Serialises values to CDR, the form in which every middleware of ROS 2 transports messages."""

from __future__ import annotations

from functools import lru_cache
from struct import Struct, calcsize
from typing import Any

from numpy.typing import NDArray

_LITTLE_ENDIAN = b"\x00\x01\x00\x00"


def encoded_text(text: str) -> bytes:
    """Return the contents of a string, which end with a zero byte."""
    return text.encode() + b"\0"


class CdrWriter:
    """Appends the fields of a message, in their order, to its serialised form, in little endian."""

    def __init__(self) -> None:
        self._bytes = bytearray(_LITTLE_ENDIAN)

    def values(self, kinds: str, *values: float) -> None:
        """Append numbers and bools. kinds: a letter of `struct` for each of them, such as H for uint16."""
        place = (len(self._bytes) - len(_LITTLE_ENDIAN)) % 8
        self._bytes += _padded(kinds, place).pack(*values)

    def text(self, text: str) -> None:
        """Append a string."""
        encoded = encoded_text(text)
        self.values("I", len(encoded))
        self._bytes += encoded

    def contents(self, contents: bytes | memoryview) -> None:
        """Append the bytes, in little endian, of a text or of a sequence's elements of at most 4 bytes each.

        Their number comes before them, with `values`.
        """
        self._bytes += contents

    def finished(self) -> bytes:
        """Return the serialised message."""
        return bytes(self._bytes)

    def finished_with(self, pixels: NDArray[Any]) -> bytes:
        """Return the serialised message with the bytes of an array as its last field, a sequence of uint8."""
        self.values("I", pixels.nbytes)
        return b"".join(
            (self._bytes, pixels.data if pixels.flags.c_contiguous else pixels.tobytes())
        )


@lru_cache(maxsize=256)
def _padded(kinds: str, place: int) -> Struct:
    """Return the layout of numbers from `place` on, counted in bytes, each aligned to its own size."""
    layout = "<"
    for kind in kinds:
        size = calcsize("<" + kind)
        padding = -place % size
        layout += "x" * padding + kind
        place += padding + size
    return Struct(layout)
