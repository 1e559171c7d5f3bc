# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Binary WebSocket messages: a JSON header with named parts of bytes behind it.

uint32, little endian: length of the header in bytes
the header: a JSON object in UTF-8; its "parts" is a list of [name, length in bytes]
the parts, one after the other
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from zs_seg_ros.errors import StudioError

_LENGTH_BYTES = 4
MOST_TEXT_BYTES = 1 << 22
"""Of the JSON of one message: 4 MiB."""
_MOST_PARTS = 16


def encoded(header: Mapping[str, Any], parts: Mapping[str, bytes]) -> bytes:
    """Return the message of a header and its parts."""
    sizes = [[name, len(part)] for name, part in parts.items()]
    text = json.dumps({**header, "parts": sizes}, separators=(",", ":")).encode()
    return b"".join((len(text).to_bytes(_LENGTH_BYTES, "little"), text, *parts.values()))


def decoded(message: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the header and the parts of a message. Raises StudioError for a damaged one."""
    begin = _LENGTH_BYTES + int.from_bytes(message[:_LENGTH_BYTES], "little")
    if not _LENGTH_BYTES < begin <= min(len(message), MOST_TEXT_BYTES):
        raise StudioError(f"a message of {len(message)} bytes has no header: load the page again")
    header = parsed(message[_LENGTH_BYTES:begin])
    parts: dict[str, bytes] = {}
    sizes = header.pop("parts", [])
    if not isinstance(sizes, list) or len(sizes) > _MOST_PARTS:
        raise StudioError("a message has a wrong list of parts: load the page again")
    for entry in sizes:
        match entry:
            case [str(name), int(size)] if 0 <= size <= len(message) - begin:
                parts[name] = message[begin : begin + size]
                begin += size
            case _:
                raise StudioError("a message has a wrong list of parts: load the page again")
    return header, parts


def parsed(text: str | bytes) -> dict[str, Any]:
    """Return the object of a JSON text. Raises StudioError for another text."""
    if len(text) > MOST_TEXT_BYTES:
        raise StudioError(
            f"a text of {len(text)} bytes is refused: at most {MOST_TEXT_BYTES} are read"
        )
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StudioError("a message is not JSON: load the page again") from error
    if not isinstance(value, dict):
        raise StudioError("a message is no JSON object: load the page again")
    return value
