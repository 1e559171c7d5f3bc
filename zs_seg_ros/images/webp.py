# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Reads the size of a WebP file from its header, before memory for the pixels is allocated.

Source: RFC 9649, "WebP Image Format", 2024.
"""

from __future__ import annotations

_HEADER_BYTES = 30


def webp_size(data: memoryview) -> tuple[int, int] | None:
    """Return the (width, height) that the header claims; None for any other file."""
    header = bytes(data[:_HEADER_BYTES])
    if len(header) < _HEADER_BYTES or header[:4] != b"RIFF" or header[8:12] != b"WEBP":
        return None

    def number(start: int, length: int) -> int:
        return int.from_bytes(header[start : start + length], "little")

    chunk = header[12:16]
    if chunk == b"VP8 ":
        return number(26, 2) & 0x3FFF, number(28, 2) & 0x3FFF
    if chunk == b"VP8L":
        return (number(21, 4) & 0x3FFF) + 1, (number(21, 4) >> 14 & 0x3FFF) + 1
    if chunk == b"VP8X":
        return number(24, 3) + 1, number(27, 3) + 1
    return None
