# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.


"""The encoding of an image by a mask model, shared by all that needs it while a batch is processed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from zs_seg_ros.types import RgbImage

_encodings: ContextVar[dict[int, Any] | None] = ContextVar("encodings of images", default=None)


@contextmanager
def one_encoding_per_image() -> Iterator[None]:
    """Let a mask model encode an image once within the block, for detections and for the objects that it follows."""
    token = _encodings.set({})
    try:
        yield
    finally:
        _encodings.reset(token)


def share_encoding(image: RgbImage, encoding: Any) -> None:
    """Hold the encoding of an image until the block of `one_encoding_per_image` ends; outside of one do nothing."""
    known = _encodings.get()
    if known is not None:
        known[id(image)] = encoding


def shared_encoding(image: RgbImage) -> Any | None:
    """Return the encoding that was shared of this very array; None without one."""
    known = _encodings.get()
    return None if known is None else known.get(id(image))
