# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Encodings of images that are kept for all that needs them within a block.

What a model computes before it combines an image with phrases is the same for every vocabulary, and for the objects
that it follows. A command that tries many vocabularies on each image, such as `zs-seg tune`, encodes the image once,
and so does a node that detects and follows objects in it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

from zs_seg_ros.types import RgbImage

Encoded = TypeVar("Encoded")


@dataclass(eq=False)
class KeptImages:
    """The encodings within one block. encoded, reused: how often an encoding was computed, and taken from here."""

    encoded: int = 0
    reused: int = 0
    _entries: dict[Hashable, tuple[tuple[object, ...], Any]] = field(default_factory=dict)

    def get(
        self, owner: object, images: Sequence[RgbImage], encode: Callable[[], Encoded]
    ) -> Encoded:
        """Return what `encode` returned for the same owner and the same arrays; call it the first time."""
        # The entry holds all of them, so that no other object can get their addresses.
        holds = (owner, *images)
        key = tuple(map(id, holds))
        if key in self._entries:
            self.reused += 1
        else:
            self.encoded += 1
            self._entries[key] = (holds, encode())
        result: Encoded = self._entries[key][1]
        return result

    def add(self, owner: object, image: RgbImage, encoding: object) -> None:
        """Hold the encoding of an image that was encoded together with others."""
        holds = (owner, image)
        self._entries.setdefault(tuple(map(id, holds)), (holds, encoding))


_kept: ContextVar[KeptImages | None] = ContextVar("kept images", default=None)


@contextmanager
def keeping_images() -> Iterator[KeptImages]:
    """Keep the encodings of all images that this thread segments within the block, and drop them at its end.

    The images must not change within it. Their encodings take memory, some to some tens of megabytes an image.
    """
    token = _kept.set(KeptImages())
    try:
        kept = _kept.get()
        assert kept is not None
        yield kept
    finally:
        _kept.reset(token)


def encoded_once(
    owner: object, images: Sequence[RgbImage], encode: Callable[[], Encoded]
) -> Encoded:
    """Return `encode()`; within `keeping_images`, the result of the first call for this owner and these images.

    owner: the model, whose encoding depends on nothing but the images. The result is not changed.
    """
    kept = _kept.get()
    return encode() if kept is None else kept.get(owner, images, encode)


def keep_encoding(owner: object, image: RgbImage, encoding: object) -> None:
    """Within `keeping_images`, have `encoded_once` return this for the image alone; outside of it do nothing."""
    kept = _kept.get()
    if kept is not None:
        kept.add(owner, image, encoding)
